//! What the step of a function needs: its input taken by value, and its answer in any of its forms.

use super::{Progress, StepError, StepResult};
use crate::payload::Payload;

/// What a step's function may return: a [`StepResult`], or a plain `Result` whose value is handed on.
#[diagnostic::on_unimplemented(
    message = "a step's function returns `StepResult<T>` or `Result<T, E>`, and this one returns `{Self}`",
    label = "in this step",
    note = "the `T` is stored and handed on, and the `E` is whatever `?` turns into a `StepError`"
)]
pub trait Answer {
    /// What is handed on.
    type Output: Payload;

    /// The answer, as a step gives it.
    ///
    /// # Errors
    ///
    /// The function's.
    fn answer(self) -> StepResult<Self::Output>;
}

#[diagnostic::do_not_recommend]
impl<T: Answered, E: Into<StepError>> Answer for Result<T, E> {
    type Output = T::Output;

    fn answer(self) -> StepResult<T::Output> {
        self.map(T::progress).map_err(Into::into)
    }
}

/// What a function's `Ok` may hold: a [`Progress`], or a value that is handed on.
pub trait Answered {
    /// What is handed on.
    type Output: Payload;

    /// How far the step has come.
    fn progress(self) -> Progress<Self::Output>;
}

impl<T: Payload> Answered for T {
    type Output = T;

    fn progress(self) -> Progress<T> {
        Progress::Finished(self)
    }
}

impl<T: Payload> Answered for Progress<T> {
    type Output = T;

    fn progress(self) -> Self {
        self
    }
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
