//! What the step of a function needs: its input taken by value, and its answer in any of its forms.

use super::{Progress, StepError, StepResult};
use crate::payload::Payload;

/// What a step's function may return: a [`StepResult`], or a plain `Result` whose value is handed on.
///
/// That a `T` can be stored is not asked here: the step is asked for it, and one mistake is told once.
#[diagnostic::on_unimplemented(
    message = "a step's function returns `StepResult<T>` or `Result<T, E>`, and this one returns `{Self}`",
    label = "this can't become a `StepResult`",
    note = "the `T` is stored and handed on, and the `E` is what `?` can turn into a `StepError`: a std error, say"
)]
pub trait Answer<T> {
    /// The answer, as a step gives it.
    ///
    /// # Errors
    ///
    /// The function's.
    fn answer(self) -> StepResult<T>;
}

#[diagnostic::do_not_recommend]
impl<T, E: Into<StepError>> Answer<T> for Result<T, E> {
    fn answer(self) -> StepResult<T> {
        self.map(Progress::Finished).map_err(Into::into)
    }
}

#[diagnostic::do_not_recommend]
impl<T, E: Into<StepError>> Answer<T> for Result<Progress<T>, E> {
    fn answer(self) -> StepResult<T> {
        self.map_err(Into::into)
    }
}

/// See [`Answer`].
///
/// # Errors
///
/// The function's.
pub fn answer<T, A: Answer<T>>(answer: A) -> StepResult<T> {
    answer.answer()
}

/// What a function hands on whose return type is an alias: only the compiler knows what that stands for.
#[diagnostic::on_unimplemented(
    message = "a step's function returns `StepResult<T>` or `Result<T, E>`, and this one returns `{Self}`",
    label = "this can't become a `StepResult`",
    note = "the `T` is stored and handed on, and so has serde's `Serialize` and `Deserialize`"
)]
pub trait Answered {
    /// The `T`.
    type Output: Payload;
}

#[diagnostic::do_not_recommend]
impl<V: AnsweredValue, E> Answered for Result<V, E> {
    type Output = V::Output;
}

/// What an `Ok` holds: how far the step has come, or a value that is handed on.
pub trait AnsweredValue {
    /// The value that is handed on.
    type Output: Payload;
}

#[diagnostic::do_not_recommend]
impl<T: Payload> AnsweredValue for T {
    type Output = T;
}

#[diagnostic::do_not_recommend]
impl<T: Payload> AnsweredValue for Progress<T> {
    type Output = T;
}

/// The input of a function that takes it by value.
#[diagnostic::on_unimplemented(
    message = "a step that takes its input by value gets a clone of it, and `{Self}` has none",
    label = "this is not `Clone`",
    note = "write `&{Self}` here, or `#[derive(Clone)]` above `{Self}`"
)]
pub trait ByValue: Sized {
    /// A value of its own.
    fn taken(&self) -> Self;
}

#[diagnostic::do_not_recommend]
impl<T: Clone> ByValue for T {
    fn taken(&self) -> Self {
        self.clone()
    }
}

/// See [`ByValue`].
pub fn taken<T: ByValue>(input: &T) -> T {
    input.taken()
}
