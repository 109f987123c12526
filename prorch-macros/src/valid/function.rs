//! What may be written where a function is to be a step.

use proc_macro2::Span;
use syn::{Error, FnArg, Ident, Result, ReturnType, Safety, Type};

use super::{GoodOptions, asked_for_a_reason, not_generic};
use crate::ast::Function;
use crate::types::{argument_of, last_name, ungrouped};

/// A step's function, understood.
pub(crate) struct GoodFunction {
    pub(crate) arguments: Vec<Argument>,
    pub(crate) output: Output,
}

/// What a function is called with.
pub(crate) enum Argument {
    InputByValue(Type),
    InputByReference(Type),
    Context,
    Resource(Type),
}

/// What a function hands on.
pub(crate) enum Output {
    /// The `T` of a `StepResult<T>` or a `Result<T, E>`.
    Is(Type),
    /// Whatever this alias (a name that ends in `Result`) stands for: that is for the compiler to find out.
    Of(Type),
}

/// A function that is to be a step.
pub(crate) fn step_function(function: &Function, options: &GoodOptions) -> Result<GoodFunction> {
    let sig = &function.sig;
    asked_for_a_reason(options)?;
    if let Some(derive) = options.derive.as_ref() {
        let at = derive.first().map_or_else(Span::call_site, Ident::span);
        return Err(Error::new(at, "a function has no state to derive something for: leave `derive` out"));
    }
    if let Some(batch) = &options.batch {
        return Err(Error::new(
            batch.span,
            "a function is called for one record: to ask about many at once write `#[step]` above a struct, and \
             `on_continue_many` into its `impl Step`",
        ));
    }
    if let Safety::Unsafe(token) = &sig.safety {
        return Err(Error::new_spanned(
            token,
            "a step is called by the engine, so its function is not `unsafe`",
        ));
    }
    not_generic(
        &sig.generics,
        "a step has one input and one output, so its function is not generic: write one function for each case",
    )?;
    let output = output(&sig.output, sig.ident.span())?;
    let mut arguments = Vec::new();
    for parameter in &sig.inputs {
        let argument = argument(parameter, &arguments)?;
        arguments.push(argument);
    }
    Ok(GoodFunction { arguments, output })
}

/// The first parameter that is not the context is the input; those after it are resources.
fn argument(parameter: &FnArg, earlier: &[Argument]) -> Result<Argument> {
    let FnArg::Typed(parameter) = parameter else {
        return Err(Error::new_spanned(
            parameter,
            "a step's function has no `self`: for a step with state write `#[step]` above a struct, and `impl Step` for it",
        ));
    };
    let has_context = earlier.iter().any(|argument| matches!(argument, Argument::Context));
    let has_input = earlier.len() > usize::from(has_context);
    match ungrouped(&parameter.ty) {
        Type::Reference(reference) if reference.mutability.is_some() => Err(Error::new_spanned(
            reference,
            "a step reads what it is given: write `&` without `mut`, or take the input by value",
        )),
        Type::Reference(reference) if is_context(&reference.elem) => {
            if has_context {
                return Err(Error::new_spanned(
                    reference,
                    "the context is given once: leave this parameter out",
                ));
            }
            Ok(Argument::Context)
        }
        Type::Reference(reference) => {
            let target = sized(&reference.elem)?;
            Ok(if has_input { Argument::Resource(target) } else { Argument::InputByReference(target) })
        }
        other if is_context(other) => {
            Err(Error::new_spanned(other, "the context is given by reference: write `&StepContext`"))
        }
        other if has_input => Err(Error::new_spanned(
            other,
            "the parameters after the input are resources, and those are given by reference: write `&` before the type",
        )),
        other => Ok(Argument::InputByValue(sized(other)?)),
    }
}

fn is_context(ty: &Type) -> bool {
    last_name(ty).is_some_and(|name| name == "StepContext")
}

/// The type, if a value of it can be stored or looked up.
fn sized(ty: &Type) -> Result<Type> {
    let text = match ungrouped(ty) {
        Type::ImplTrait(_) => "a step's input is one type: write its name, not `impl …`",
        Type::TraitObject(_) => "this has no size: take a sized type, like `&Arc<dyn …>`",
        Type::Slice(_) => "this has no size: take a `&Vec<…>`",
        Type::Path(path) if path.path.is_ident("str") => "this has no size: take a `&String`",
        Type::Infer(_) => "write the type out: it is what is stored",
        other => return Ok(other.clone()),
    };
    Err(Error::new_spanned(ty, text))
}

fn output(output: &ReturnType, function: Span) -> Result<Output> {
    const FORM: &str = "a step's function returns `StepResult<T>` or `Result<T, E>`";
    let ReturnType::Type(_, ty) = output else {
        return Err(Error::new(
            function,
            format!("{FORM}: write `-> StepResult<()>`, and end with `finish(())`"),
        ));
    };
    let ty = ungrouped(ty);
    match ty {
        Type::ImplTrait(_) => Err(Error::new_spanned(ty, format!("{FORM}: for a future write `async fn`"))),
        _ if last_name(ty).is_some_and(|name| name.ends_with("Result")) => {
            Ok(match argument_of(ty, &["StepResult", "Result"]) {
                Some(inner) => Output::Is(argument_of(inner, &["Progress"]).unwrap_or(inner).clone()),
                None => Output::Of(ty.clone()),
            })
        }
        _ => Err(Error::new_spanned(ty, FORM)),
    }
}
