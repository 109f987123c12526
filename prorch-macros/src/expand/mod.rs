//! From what was understood to the code that stands for it. All of it goes through `__private`.

mod function;
mod pipeline;
mod stage;
mod step;

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::quote;
use syn::Path;

pub(crate) use function::function_step;
pub(crate) use pipeline::pipeline;
pub(crate) use step::type_step;

/// The path of `__private`, through the name that the user's crate has for prorch.
pub(crate) fn private(krate: Option<&Path>) -> TokenStream {
    krate.map_or_else(|| quote!(::prorch::__private), |krate| quote!(#krate::__private))
}

/// These tokens, as if they stood at `place`.
fn placed(tokens: TokenStream, place: Span) -> TokenStream {
    let at_place = |mut token: TokenTree| {
        token.set_span(place);
        token
    };
    tokens.into_iter().map(at_place).collect()
}
