//! From what was understood to the code that stands for it. All of it goes through `__private`.

mod function;
mod pipeline;
mod step;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Path};

pub(crate) use function::function_step;
pub(crate) use pipeline::pipeline;
pub(crate) use step::type_step;

/// The path of `__private`, through the name that the user's crate has for prorch.
pub(crate) fn private(krate: Option<&Path>) -> TokenStream {
    krate.map_or_else(|| quote!(::prorch::__private), |krate| quote!(#krate::__private))
}

/// The attributes that say in which builds an item exists: what is generated for it exists in the same.
fn conditions(attrs: &[Attribute]) -> impl Iterator<Item = &Attribute> + Clone {
    attrs.iter().filter(|attr| attr.path().is_ident("cfg"))
}
