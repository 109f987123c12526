use std::time::Duration;

use super::StepError;

/// What a step's function returns: how far the step has come, or an error.
///
/// An error is retried by the step's policy, unless it is [fatal](StepError::fatal); what the call did to the step's
/// fields is then thrown away, and the next attempt sees what was last committed.
pub type StepResult<T> = Result<Progress<T>, StepError>;

/// How far a step has come. Made by [`finish`], [`pending`], [`pending_for`], [`wait_for_signal`] [`cancel`] and, in `on_uncertain`, [`start_again`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Progress<T> {
    /// The step is done and hands this on.
    Finished(T),
    /// The step is not done.
    Pending {
        /// When to ask again; the step's poll interval when none is given.
        after: Option<Duration>,
    },
    /// The step is not done: something must come from outside first.
    AwaitSignal {
        /// The signal's name.
        name: String,
        /// How long to wait at most; then the step is asked all the same.
        timeout: Option<Duration>,
    },
    /// Nothing came of the step's first call: it may be made again.
    StartAgain,
    /// The run should end here.
    Cancelled {
        /// Why.
        reason: String,
    },
    /// The user did not write this function.
    #[doc(hidden)]
    Unwritten,
}

/// The step is done and hands `output` on to the next.
///
/// # Errors
///
/// None: the result is what a step's function returns.
pub fn finish<T>(output: T) -> StepResult<T> {
    Ok(Progress::Finished(output))
}

/// The step is not done: `on_continue` is called next. From `on_start` that follows at once, when this is committed;
/// from `on_continue` after the step's poll interval.
///
/// # Errors
///
/// None: the result is what a step's function returns.
pub fn pending<T>() -> StepResult<T> {
    Ok(Progress::Pending { after: None })
}

/// The step is not done: `on_continue` is called when this time has passed.
///
/// # Errors
///
/// None: the result is what a step's function returns.
pub fn pending_for<T>(after: Duration) -> StepResult<T> {
    Ok(Progress::Pending { after: Some(after) })
}

/// The step is not done: `on_continue` is called when a signal with this name is there
/// (see [`StepContext::signal`](super::StepContext::signal)), or when `timeout` has passed.
///
/// # Errors
///
/// None: the result is what a step's function returns.
pub fn wait_for_signal<T>(name: impl Into<String>, timeout: impl Into<Option<Duration>>) -> StepResult<T> {
    Ok(Progress::AwaitSignal { name: name.into(), timeout: timeout.into() })
}

/// Nothing came of the step's first call, which is made at most once: it may be made again, and is at once. Only
/// [`on_uncertain`](super::Step::on_uncertain) can know that, and only there this is an answer.
///
/// # Errors
///
/// None: the result is what a step's function returns.
pub const fn start_again<T>() -> StepResult<T> {
    Ok(Progress::StartAgain)
}

/// The run should end here, as cancelled.
///
/// # Errors
///
/// None: the result is what a step's function returns.
pub fn cancel<T>(reason: impl Into<String>) -> StepResult<T> {
    Ok(Progress::Cancelled { reason: reason.into() })
}

/// The step can't be done, and trying again won't help: the run fails with this reason.
///
/// # Errors
///
/// Always: a [fatal](StepError::fatal) error.
pub fn fail<T>(reason: impl Into<String>) -> StepResult<T> {
    Err(StepError::fatal(reason.into()))
}
