//! The calls that undo a step.

use super::invoke::{decode, failure, misplaced, settle};
use super::{Invocation, Progress, Reply, RetryOptions, Step, StepContext, StepError, StepResult, ask_alone};
use crate::flow::FlowsInto;
use crate::model::{CauseKind, Hook, Outcome, RunId, Text};
use crate::payload::{Payload, PayloadError};

/// What a call that undoes something is told beside what any call is.
#[derive(Clone, Debug)]
pub(crate) struct Undoing {
    /// What the step had handed on, if it finished.
    pub(crate) output: Option<Text>,
    /// The run that the step was, if that finished.
    pub(crate) child: Option<RunId>,
    /// Which of two functions is called, where the undoing has two.
    pub(crate) hook: Hook,
}

/// Calls a step's `compensate`.
pub(crate) async fn compensate<S, Before>(
    call: Invocation,
    decode_before: fn(&str) -> Result<Before, PayloadError>,
) -> Reply
where
    S: Step,
    Before: FlowsInto<S::Input>,
{
    let Invocation { input, state, cx, max_payload, undo, .. } = call;
    let output = undo.and_then(|undo| undo.output);
    let decoded = decode_before(&input).and_then(|before| {
        let output = output.map(|output| S::Output::decode(&output)).transpose()?;
        Ok((before, output, decode::<S>(state.as_ref())?))
    });
    let (before, output, mut step) = match decoded {
        Ok(decoded) => decoded,
        Err(error) => return Reply::unreadable(&error),
    };
    let input: S::Input = before.flow();
    let answer = step.compensate(&input, output.as_ref(), &cx).await;
    let outcome = outcome(answer, &S::OPTIONS.retry);
    settle(Hook::Undo, outcome, &step, &cx, max_payload)
}

/// Calls the step `U`, which undoes what something else has done.
pub(crate) async fn undo_by<U: Step>(
    input: &U::Input,
    hook: Hook,
    state: Option<&Text>,
    cx: &StepContext,
    max_payload: usize,
) -> Reply {
    let mut step = match decode::<U>(state) {
        Ok(step) => step,
        Err(error) => return Reply::unreadable(&error),
    };
    let mut answer = match hook {
        Hook::Continue => step.on_continue(input, cx).await,
        Hook::Start | Hook::Uncertain | Hook::Undo => step.on_start(input, cx).await,
    };
    if hook != Hook::Continue && matches!(answer, Ok(Progress::Unwritten)) {
        answer = step.on_continue(input, cx).await;
    }
    if matches!(answer, Ok(Progress::Unwritten)) {
        answer = Box::pin(ask_alone(&mut step, input, cx)).await;
    }
    let outcome = match answer {
        Ok(Progress::Unwritten) => Outcome::Failed(CauseKind::Error, super::invoke::unwritten(U::NAME)),
        Ok(Progress::StartAgain) => Outcome::Failed(CauseKind::Error, misplaced(U::NAME)),
        answer => outcome(answer, &U::OPTIONS.retry),
    };
    settle(Hook::Undo, outcome, &step, cx, max_payload)
}

/// What undoing hands on is not kept. A step that has not written `compensate` has nothing to undo.
fn outcome<T>(answer: StepResult<T>, retry: &RetryOptions) -> Outcome {
    match answer {
        Ok(Progress::Finished(_) | Progress::Unwritten) => Outcome::Finished(Text::default()),
        Ok(Progress::Pending { after }) => Outcome::Pending(after),
        Ok(Progress::AwaitSignal { name, timeout }) => {
            Outcome::AwaitSignal { name: Text::from(name), limit: timeout }
        }
        Ok(Progress::StartAgain) => failure(&StepError::fatal("its undoing answered `start_again`"), retry),
        Ok(Progress::Cancelled { reason }) => {
            failure(&StepError::fatal(format!("its undoing answered `cancel`: {reason}")), retry)
        }
        Err(error) => failure(&error, retry),
    }
}
