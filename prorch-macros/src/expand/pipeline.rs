use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{DeriveInput, Path, Type, Visibility};

use super::placed;
use crate::valid::GoodPipeline;

/// The pipeline's implementation, and its entry among the pipelines.
pub(crate) fn pipeline(private: &TokenStream, item: &DeriveInput, good: &GoodPipeline) -> TokenStream {
    let (ident, name) = (&item.ident, &good.name);
    let steps: Vec<Step<'_>> = good.steps.iter().map(Step).collect();
    let (first, last) = (&steps[0], &steps[steps.len() - 1]);
    let input = good.input.as_ref().map_or_else(|| first.begin(private), ToTokens::to_token_stream);
    let output = good.output.as_ref().map_or_else(|| last.output(private), ToTokens::to_token_stream);
    let input = first.type_item(quote!(type Input), &input);
    let output = last.type_item(quote!(type Output), &output);
    let stages = stages(private, &steps, good.input.as_ref());
    let ending = good.output.as_ref().map(|output| ending(last, output));
    let contract = contract(item, good, first, last);
    quote! {
        #[allow(unused_parens)]
        const _: () = {
            #contract
            impl #private::Pipeline for #ident {
                #input
                #output
                const NAME: &'static ::core::primitive::str = #name;

                fn definition() -> &'static #private::PipelineDefinition {
                    static DEFINITION: #private::OnceLock<#private::PipelineDefinition> = #private::OnceLock::new();
                    DEFINITION.get_or_init(|| {
                        let stages = ::std::vec![#(#stages),*];
                        #private::PipelineDefinition::new(#name, ::core::module_path!(), stages)#ending
                    })
                }
            }
            #private::register_pipeline!(#ident);
        };
    }
}

/// The calls that make the stages: whatever is wrong with one seems to stand where its step's path stands.
fn stages(private: &TokenStream, steps: &[Step<'_>], input: Option<&Type>) -> Vec<TokenStream> {
    let first = &steps[0];
    let input = input.map_or_else(|| first.begin(private), ToTokens::to_token_stream);
    let of = first.ty();
    let mut stages = vec![first.call(quote!(#private::Stage::of), quote!(#of, #input))];
    for pair in steps.windows(2) {
        let (previous, step) = (pair[0].ty(), pair[1].ty());
        // The type between the two is left to the compiler, so that a hand-over that fails is told at this place.
        let between = pair[1].place(&quote!(_));
        stages.push(pair[1].call(quote!(#private::Stage::after), quote!(#step, #previous, #between)));
    }
    stages
}

/// The call that promises an output; when the last step hands on something else, it is told at the promise.
fn ending(last: &Step<'_>, output: &Type) -> TokenStream {
    let step = last.ty();
    let stored = quote_spanned!(output.span()=> _);
    quote!(.ending_with::<#step, #stored, #output>())
}

/// A function that nobody calls, for a pipeline that may be seen by more than its steps are. When its input or output is
/// that of a step which is less visible, the compiler's own error (E0446) does not say what to write; the lint that this
/// function then breaks does.
fn contract(
    item: &DeriveInput,
    good: &GoodPipeline,
    first: &Step<'_>,
    last: &Step<'_>,
) -> Option<TokenStream> {
    let stated = [(&good.input, first), (&good.output, last)];
    let taken: Vec<_> = stated.iter().filter(|(ty, _)| ty.is_none()).map(|(_, step)| step.ty()).collect();
    if taken.is_empty() || matches!(item.vis, Visibility::Inherited) {
        return None;
    }
    let pipeline = &item.ident;
    // Placed as a whole: the compiler keeps quiet about lints in what another crate's macro wrote.
    let function = last.place(&quote!(pub fn __contract(#(_: &#taken),*) {}));
    Some(quote! {
        #[deny(
            private_interfaces,
            reason = "a pipeline that is more visible than its steps says what goes in and what comes out: write \
                      `#[pipeline(input = …, output = …, steps = …)]`, or make the steps as visible as it is"
        )]
        impl #pipeline {
            #[doc(hidden)]
            #function
        }
    })
}

/// A step of the list.
struct Step<'a>(&'a Path);

impl Step<'_> {
    /// Its type. In parentheses, so that the name of a function is seen to be no type, and not taken for a constant.
    fn ty(&self) -> TokenStream {
        let (begin, _) = self.ends();
        let mut group = Group::new(Delimiter::Parenthesis, self.0.to_token_stream());
        group.set_span(begin);
        TokenTree::from(group).into()
    }

    fn begin(&self, private: &TokenStream) -> TokenStream {
        let step = self.ty();
        self.place(&quote!(<<#step as #private::Step>::Input as #private::Begin>::Input))
    }

    fn output(&self, private: &TokenStream) -> TokenStream {
        let step = self.ty();
        self.place(&quote!(<#step as #private::Step>::Output))
    }

    /// An item of the pipeline's `impl`. Placed as a whole: the compiler tells what is wrong with such a type twice, at
    /// the type and at the item, and says it once when both are at one place.
    fn type_item(&self, item: TokenStream, ty: &TokenStream) -> TokenStream {
        let (open, close) = (self.place(&quote!(#item =)), self.place(&quote!(;)));
        quote!(#open #ty #close)
    }

    /// A call that seems to stand where the path stands; its type arguments keep their places.
    fn call(&self, function: TokenStream, types: TokenStream) -> TokenStream {
        let (open, close) = (self.place(&quote!(#function::<)), self.place(&quote!(>())));
        quote!(#open #types #close)
    }

    /// These tokens, as if they stood where the path stands.
    fn place(&self, tokens: &TokenStream) -> TokenStream {
        let (begin, end) = self.ends();
        let mut tokens: Vec<TokenTree> = placed(tokens.clone(), begin).into_iter().collect();
        if let Some(last) = tokens.last_mut() {
            last.set_span(end);
        }
        tokens.into_iter().collect()
    }

    /// The places of the path's first and last token.
    fn ends(&self) -> (Span, Span) {
        let mut places = self.0.to_token_stream().into_iter().map(|token| token.span());
        let begin = places.next().unwrap_or_else(Span::call_site);
        (begin, places.last().unwrap_or(begin))
    }
}
