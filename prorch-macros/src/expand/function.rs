use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Path, ReturnType, Type};

use super::placed;
use super::step::{definition, derives};
use crate::ast::Function;
use crate::valid::{Argument, DERIVED, GoodFunction, GoodOptions, Output};

/// The type of a function's name, its definition as a step, and the step that calls the function.
///
/// The type has braces and no fields, so that its name is free for the function where values are named.
pub(crate) fn function_step(
    private: &TokenStream,
    function: &Function,
    options: &GoodOptions,
    good: &GoodFunction,
) -> TokenStream {
    let (ident, vis) = (&function.sig.ident, &function.vis);
    let needed: Vec<&Type> = good.arguments.iter().filter_map(resource).collect();
    let definition = definition(private, ident, options, &needed, &constants(function, options));
    let step = step(private, function, options, good);
    let derives = derives(private, ident, &DERIVED, &[]);
    let docs = docs(function);
    quote! {
        #docs
        #derives
        #[allow(non_camel_case_types)]
        #vis struct #ident {}
        #definition
        #step
    }
}

/// What its definition says beside the options: that it blocks, and that nothing is to be undone.
fn constants(function: &Function, options: &GoodOptions) -> TokenStream {
    let blocking = function.sig.asyncness.is_none().then(|| {
        quote!(
            const BLOCKING: bool = true;
        )
    });
    let undoes_nothing = options.compensate.is_none().then(|| {
        quote!(
            const COMPENSATES: bool = false;
        )
    });
    quote!(#blocking #undoes_nothing)
}

/// The function's own docs, or a line that says what the type is.
fn docs(function: &Function) -> TokenStream {
    let own: Vec<_> = function.attrs.iter().filter(|attr| attr.path().is_ident("doc")).collect();
    if !own.is_empty() {
        return quote!(#(#own)*);
    }
    let text = format!("The step that calls the function `{}`.", function.sig.ident);
    quote!(#[doc = #text])
}

/// `impl Step`. The function is `on_continue`, so that one that answers *pending* is called again.
///
/// Written at the function's return type: what is wrong with that is told there, and once.
fn step(
    private: &TokenStream,
    function: &Function,
    options: &GoodOptions,
    good: &GoodFunction,
) -> TokenStream {
    let ident = &function.sig.ident;
    let place = place_of_output(function);
    let (input, output) = (input(private, good), output(&placed(private.clone(), place), good));
    // Names that the user's code can't see, and that don't hide any of its names.
    let [from, cx] = ["input", "cx"].map(|name| Ident::new(name, Span::mixed_site()));
    let arguments = good.arguments.iter().map(|argument| match argument {
        Argument::InputByValue(ty) => quote_spanned!(ty.span()=> #private::taken::<#ty>(#from)),
        Argument::InputByReference(_) => quote!(#from),
        Argument::Context => quote!(#cx),
        Argument::Resource(ty) => quote!(#cx.resource::<#ty>()?),
    });
    let wait = function.sig.asyncness.map(|_| quote_spanned!(place=> .await));
    let compensate = options.compensate.as_ref().map(|path| compensate(private, path));
    let on_uncertain = options.on_uncertain.as_ref().map(|path| on_uncertain(private, path));
    let private = placed(private.clone(), place);
    quote_spanned! {place=>
        impl #private::Step for #ident {
            type Input = #input;
            type Output = #output;

            #[allow(unused_variables)]
            async fn on_continue(
                &mut self,
                #from: &<Self as #private::Step>::Input,
                #cx: &#private::StepContext,
            ) -> #private::StepResult<<Self as #private::Step>::Output> {
                #private::answer(#ident(#(#arguments),*)#wait)
            }

            #compensate
            #on_uncertain
        }
    }
}

/// The step's `compensate`, which calls what is named in the options: what is wrong with that is told there.
fn compensate(private: &TokenStream, path: &Path) -> TokenStream {
    let place = Span::call_site().located_at(path.span());
    let [input, output, cx] = ["input", "output", "cx"].map(|name| Ident::new(name, Span::mixed_site()));
    let private = placed(private.clone(), place);
    quote_spanned! {place=>
        async fn compensate(
            &mut self,
            #input: &<Self as #private::Step>::Input,
            #output: ::core::option::Option<&<Self as #private::Step>::Output>,
            #cx: &#private::StepContext,
        ) -> #private::StepResult<()> {
            #path(#input, #output, #cx).await
        }
    }
}

/// The step's `on_uncertain`, likewise.
fn on_uncertain(private: &TokenStream, path: &Path) -> TokenStream {
    let place = Span::call_site().located_at(path.span());
    let [input, cx] = ["input", "cx"].map(|name| Ident::new(name, Span::mixed_site()));
    let private = placed(private.clone(), place);
    quote_spanned! {place=>
        async fn on_uncertain(
            &mut self,
            #input: &<Self as #private::Step>::Input,
            #cx: &#private::StepContext,
        ) -> #private::StepResult<<Self as #private::Step>::Output> {
            #path(#input, #cx).await
        }
    }
}

/// Only the place: as code it stays the macro's, which the lints of the user's crate leave alone.
fn place_of_output(function: &Function) -> Span {
    let ReturnType::Type(_, ty) = &function.sig.output else { return Span::call_site() };
    let first = ty.to_token_stream().into_iter().next();
    first.map_or_else(Span::call_site, |token| Span::call_site().located_at(token.span()))
}

fn resource(argument: &Argument) -> Option<&Type> {
    match argument {
        Argument::Resource(ty) => Some(ty),
        _ => None,
    }
}

fn input(private: &TokenStream, good: &GoodFunction) -> TokenStream {
    let input = good.arguments.iter().find_map(|argument| match argument {
        Argument::InputByValue(ty) | Argument::InputByReference(ty) => Some(quote!(#ty)),
        Argument::Context | Argument::Resource(_) => None,
    });
    input.unwrap_or_else(|| quote!(#private::Anything))
}

fn output(private: &TokenStream, good: &GoodFunction) -> TokenStream {
    match &good.output {
        Output::Is(ty) => quote!(#ty),
        Output::Of(ty) => quote_spanned!(ty.span()=> <#ty as #private::Answered>::Output),
    }
}
