//! The attributes `#[step]` and `#[pipeline]` of prorch.

use proc_macro::TokenStream;

/// Declares a step.
#[proc_macro_attribute]
pub fn step(_options: TokenStream, item: TokenStream) -> TokenStream {
    item
}

/// Declares a pipeline.
#[proc_macro_attribute]
pub fn pipeline(_options: TokenStream, item: TokenStream) -> TokenStream {
    item
}
