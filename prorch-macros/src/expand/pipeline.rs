use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{DeriveInput, Path, Type};

use super::conditions;
use crate::valid::GoodPipeline;

/// The pipeline's implementation, and its entry among the pipelines.
pub(crate) fn pipeline(private: &TokenStream, item: &DeriveInput, good: &GoodPipeline) -> TokenStream {
    let (ident, name) = (&item.ident, &good.name);
    let steps: Vec<Step<'_>> = good.steps.iter().map(Step).collect();
    let (first, last) = (&steps[0], &steps[steps.len() - 1]);
    let input = good.input.as_ref().map_or_else(|| first.begin(private), ToTokens::to_token_stream);
    let output = good.output.as_ref().map_or_else(|| last.output(private), ToTokens::to_token_stream);
    let stages = stages(private, &steps, good.input.as_ref());
    let decode = decode_output(private, last, good.output.as_ref());
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

                fn output(
                    stored: &::core::primitive::str,
                ) -> ::core::result::Result<<Self as #private::Pipeline>::Output, #private::PayloadError> {
                    #decode
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
    let (step, call) = (first.ty(), first.place(&quote!(#private::Stage::of)));
    let mut stages = vec![quote!(#call::<#step, #input>())];
    for pair in steps.windows(2) {
        let (previous, step) = (pair[0].ty(), pair[1].ty());
        let call = pair[1].place(&quote!(#private::Stage::after));
        // The type between the two is left to the compiler, so that a hand-over that fails is told at this place.
        let between = pair[1].place(&quote!(_));
        stages.push(quote!(#call::<#step, #previous, #between>()));
    }
    stages
}

fn decode_output(private: &TokenStream, last: &Step<'_>, output: Option<&Type>) -> TokenStream {
    let step = last.ty();
    match output {
        None => quote!(#private::output_of::<#step, _, _>(stored)),
        Some(output) => quote!(#private::output_of::<#step, _, #output>(stored)),
    }
}

/// A step of the list.
struct Step<'a>(&'a Path);

impl Step<'_> {
    /// Its type. In parentheses, so that the name of a function is seen to be no type, and not taken for a constant.
    fn ty(&self) -> TokenStream {
        let (begin, _) = self.ends();
        let mut group = Group::new(Delimiter::Parenthesis, self.0.to_token_stream());
        group.set_span(Span::mixed_site().located_at(begin));
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

    /// These tokens, as if they stood where the path stands.
    fn place(&self, tokens: &TokenStream) -> TokenStream {
        let (begin, end) = self.ends();
        let mut placed: Vec<TokenTree> = tokens.clone().into_iter().collect();
        let last = placed.len().saturating_sub(1);
        for (at, token) in placed.iter_mut().enumerate() {
            let place = if at == last { end } else { begin };
            token.set_span(token.span().located_at(place));
        }
        placed.into_iter().collect()
    }

    /// The places of the path's first and last token.
    fn ends(&self) -> (Span, Span) {
        let mut places = self.0.to_token_stream().into_iter().map(|token| token.span());
        let begin = places.next().unwrap_or_else(Span::call_site);
        (begin, places.last().unwrap_or(begin))
    }
}
