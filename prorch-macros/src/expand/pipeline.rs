use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{DeriveInput, Type, Visibility};

use super::stage::Named;
use crate::ast::Member;
use crate::valid::{GoodCap, GoodPipeline, GoodStage};

/// The pipeline's implementation, and its entry among the pipelines.
pub(crate) fn pipeline(private: &TokenStream, item: &DeriveInput, good: &GoodPipeline) -> TokenStream {
    let (ident, name) = (&item.ident, &good.name);
    let (first, last) = (&good.stages[0], &good.stages[good.stages.len() - 1]);
    let input = good.input.as_ref().map_or_else(|| first.input(private), ToTokens::to_token_stream);
    let output = good.output.as_ref().map_or_else(|| last.output(private), ToTokens::to_token_stream);
    let stages = stages(private, &good.stages, &input);
    let input = first.place().type_item(quote!(type Input), &input);
    let output = last.place().type_item(quote!(type Output), &output);
    let ending = good.output.as_ref().map(|output| ending(private, last, output));
    let version = good.version.map(|version| quote!(.version(#version)));
    let aliases = aliases(private, good);
    let undone = undone(private, good);
    let schedule = good.schedule.as_ref().map(|schedule| schedule.call(private, ident));
    let (max_running, max_calls) = (
        cap(quote!(max_running), good.max_running.as_ref()),
        cap(quote!(max_calls), good.max_calls.as_ref()),
    );
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
                        #private::PipelineDefinition::new(#name, ::core::module_path!(), stages)#version #aliases #undone #max_running #max_calls #schedule #ending
                    })
                }
            }
            #private::register_pipeline!(#ident);
        };
    }
}

/// The calls that make the stages: whatever is wrong with one seems to stand where its step's path stands.
fn stages(private: &TokenStream, stages: &[GoodStage], input: &TokenStream) -> Vec<TokenStream> {
    let given = quote!(#private::Given<#input>);
    let mut made = Vec::new();
    let mut previous: Option<&GoodStage> = None;
    for stage in stages {
        made.push(match (previous, stage) {
            // Two steps in a row are the usual case, and the compiler says less about them than about what follows.
            (None, GoodStage::One(member)) if !member.is_run() => {
                let step = member.ty();
                member.call(&quote!(#private::Stage::of), &quote!(#step, #input))
            }
            (Some(GoodStage::One(before)), GoodStage::One(member))
                if !before.is_run() && !member.is_run() =>
            {
                let (step, before) = (member.ty(), before.ty());
                // The type between the two is left to the compiler, so that a hand-over that fails is told here.
                let between = member.place(&quote!(_));
                member.call(&quote!(#private::Stage::after), &quote!(#step, #before, #between))
            }
            (previous, stage) => {
                let before = previous.map_or_else(|| given.clone(), |previous| previous.marker(private));
                stage.make(private, &before)
            }
        });
        previous = Some(stage);
    }
    made
}

/// The call that says what steps were called before.
fn aliases(private: &TokenStream, good: &GoodPipeline) -> Option<TokenStream> {
    let alias = |(before, member): &(String, Member)| {
        let now = member.name(private);
        quote!((#before, #now))
    };
    let aliases: Vec<TokenStream> = good.aliases.iter().map(alias).collect();
    (!aliases.is_empty()).then(|| quote!(.aliases(::std::vec![#(#aliases),*])))
}

/// The call that says after what ends its runs are undone.
fn undone(private: &TokenStream, good: &GoodPipeline) -> Option<TokenStream> {
    let (failure, cancel) = good.undone;
    (failure || cancel).then(|| quote!(.undone(#private::UndoOn { failure: #failure, cancel: #cancel })))
}

/// The call that says how many there may be.
fn cap(function: TokenStream, cap: Option<&GoodCap>) -> Option<TokenStream> {
    let GoodCap { most, per } = cap?;
    let per = match per {
        Some(per) => quote!(::core::option::Option::Some(#per)),
        None => quote!(::core::option::Option::None),
    };
    Some(quote!(.#function(#most, #per)))
}

/// The call that promises an output; when the last stage hands on something else, it is told at the promise.
fn ending(private: &TokenStream, last: &GoodStage, output: &Type) -> TokenStream {
    let marker = last.marker(private);
    let stored = quote_spanned!(output.span()=> _);
    quote!(.ending_with::<#marker, #stored, #output>())
}

/// A function that nobody calls, for a pipeline that may be seen by more than its steps are. When its input or output is
/// that of a step which is less visible, the compiler's own error (E0446) does not say what to write; the lint that this
/// function then breaks does.
fn contract(
    item: &DeriveInput,
    good: &GoodPipeline,
    first: &GoodStage,
    last: &GoodStage,
) -> Option<TokenStream> {
    let stated = [(&good.input, first), (&good.output, last)];
    let open = stated.iter().filter(|(ty, _)| ty.is_none());
    let taken: Vec<_> = open.flat_map(|(_, stage)| stage.members()).map(|member| member.ty()).collect();
    if taken.is_empty() || matches!(item.vis, Visibility::Inherited) {
        return None;
    }
    let pipeline = &item.ident;
    // Placed as a whole: the compiler keeps quiet about lints in what another crate's macro wrote.
    let function = last.place().place(&quote!(pub fn __contract(#(_: &#taken),*) {}));
    Some(quote! {
        #[deny(
            private_interfaces,
            reason = "a pipeline that is more visible than its steps says what goes in and what comes out: write \
                      `#[pipeline(input = …, output = …, steps = …)]`, or make the steps as visible as it is"
        )]
        impl #pipeline {
            #[doc(hidden)]
            #[allow(unreachable_pub)]
            #function
        }
    })
}
