//! The attributes `#[step]` and `#[pipeline]` of prorch.

mod ast;
mod duration;
mod types;
mod options;
mod parse;
mod valid;
mod expand;

use proc_macro2::TokenStream;
use quote::quote;

use crate::ast::{Read, StepItem};
use crate::valid::Errors;

/// Declares a step.
#[proc_macro_attribute]
pub fn step(options: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    step_tokens(options.into(), item.into()).into()
}

/// Declares a pipeline.
#[proc_macro_attribute]
pub fn pipeline(options: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    pipeline_tokens(options.into(), item.into()).into()
}

/// The item as it was written, with what makes a step of it; or with the errors. A mistake in the options leaves the
/// step a step, so that it is the only one that is told.
fn step_tokens(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let Read { options, error } = parse::step_options(options);
    errors.extend(error);
    let private = expand::private(options.krate.as_ref());
    let options = valid::step_options(options, &mut errors);
    let (attributes, code) = match errors.take(parse::step_item(item.clone())) {
        Some(StepItem::Type(parsed)) => errors
            .take(valid::step_type(&parsed))
            .map(|()| expand::type_step(&private, &parsed, &options))
            .unwrap_or_default(),
        Some(StepItem::Function(function)) => {
            let good = errors.take(valid::step_function(&function, &options));
            let code = good.map(|good| expand::function_step(&private, &function, &options, &good));
            (TokenStream::new(), code.unwrap_or_default())
        }
        None => <_>::default(),
    };
    let errors = errors.into_tokens();
    quote!(#attributes #item #code #errors)
}

/// The struct as it was written, with what makes a pipeline of it; or with the error.
fn pipeline_tokens(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let read = parse::pipeline_options(options);
    let private = expand::private(read.options.krate.as_ref());
    let parsed = errors.take(parse::pipeline_item(item.clone()));
    let code = match (read.error, parsed) {
        (Some(error), _) => {
            errors.add(error);
            None
        }
        (None, Some(parsed)) => errors
            .take(valid::pipeline(read.options, &parsed))
            .map(|good| expand::pipeline(&private, &parsed, &good)),
        (None, None) => None,
    };
    let errors = errors.into_tokens();
    quote!(#item #code #errors)
}
