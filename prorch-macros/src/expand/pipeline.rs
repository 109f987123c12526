use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{DeriveInput, Path};

use super::conditions;
use crate::valid::GoodPipeline;

/// The pipeline's implementation, and its entry among the pipelines.
pub(crate) fn pipeline(private: &TokenStream, item: &DeriveInput, good: &GoodPipeline) -> TokenStream {
    let (ident, name) = (&item.ident, &good.name);
    let (first, last) = (&good.steps[0], &good.steps[good.steps.len() - 1]);
    let input = good.input.as_ref().map_or_else(
        || at(first, |_, end| quote_spanned!(end=> <<#first as #private::Step>::Input as #private::Begin>::Input)),
        ToTokens::to_token_stream,
    );
    let output = good.output.as_ref().map_or_else(|| output_of(private, last, last), ToTokens::to_token_stream);
    let mut stages = Vec::new();
    let before_first = at(first, |begin, _| quote_spanned!(begin=> <Self as #private::Pipeline>::Input));
    stages.push(stage(private, first, &before_first));
    for pair in good.steps.windows(2) {
        let before = output_of(private, &pair[0], &pair[1]);
        stages.push(stage(private, &pair[1], &before));
    }
    let conditions = conditions(&item.attrs);
    quote! {
        #(#conditions)*
        const _: () = {
            impl #private::Pipeline for #ident {
                type Input = #input;
                type Output = #output;
                const NAME: &'static ::core::primitive::str = #name;

                fn definition() -> &'static #private::PipelineDefinition {
                    static DEFINITION: #private::OnceLock<#private::PipelineDefinition> = #private::OnceLock::new();
                    DEFINITION.get_or_init(|| {
                        let stages = [#(#stages),*];
                        #private::PipelineDefinition::new(#name, ::core::module_path!(), stages.into())
                    })
                }
            }
            #private::register_pipeline!(#ident);
        };
    }
}

/// The call that makes a stage: all of it seems to stand where the step's path stands.
fn stage(private: &TokenStream, step: &Path, before: &TokenStream) -> TokenStream {
    at(step, |begin, _| quote_spanned!(begin=> #private::Stage::of::<#step, #before>()))
}

fn output_of(private: &TokenStream, step: &Path, place: &Path) -> TokenStream {
    at(place, |begin, end| {
        let close = quote_spanned!(end=> Output);
        quote_spanned!(begin=> <#step as #private::Step>::#close)
    })
}

/// Calls `make` with the places of a path's first and last token.
fn at(path: &Path, make: impl FnOnce(Span, Span) -> TokenStream) -> TokenStream {
    let mut places = path.to_token_stream().into_iter().map(|token| token.span());
    let begin = places.next().unwrap_or_else(Span::call_site);
    make(begin, places.last().unwrap_or(begin))
}
