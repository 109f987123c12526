use super::{Progress, RetryOptions, Step, StepContext, StepError, StepResult, Undoing, ask_alone};
use crate::flow::FlowsInto;
use crate::model::{CauseKind, Hook, Kept, MAX_REASON, Outcome, RunId, Text, bounded};
#[cfg(feature = "cron")]
use crate::model::{Definition, Timestamp};
use crate::payload::{Payload, PayloadError};

/// A call that is to be made.
pub(crate) struct Invocation {
    pub(crate) hook: Hook,
    pub(crate) input: Text,
    pub(crate) state: Option<Text>,
    pub(crate) cx: StepContext,
    pub(crate) max_payload: usize,
    /// The id of the run that the call may start.
    pub(crate) spawn: Option<RunId>,
    /// What is undone, when the call undoes something.
    pub(crate) undo: Option<Box<Undoing>>,
    /// What the call of a schedule is told.
    #[cfg(feature = "cron")]
    pub(crate) tick: Option<Tick>,
}

/// What the call of a schedule is told.
#[cfg(feature = "cron")]
pub(crate) struct Tick {
    pub(crate) now: Timestamp,
    /// What the runs are stored under that it starts.
    pub(crate) starts: Definition,
    /// Whether that pipeline is declared with a schedule here.
    pub(crate) is_declared: bool,
}

/// What came of a call.
#[derive(Debug)]
pub(crate) enum Reply {
    /// The step answered.
    Answered { hook: Hook, outcome: Outcome, kept: Kept },
    /// What is stored for the step can't be read here: why, and the same as it may be logged, without any part of it.
    Unreadable { why: Text, told: String },
}

impl Reply {
    /// What is stored for the step stands for no such value.
    pub(crate) fn unreadable(error: &PayloadError) -> Self {
        Self::Unreadable { why: bounded(&error.to_string(), MAX_REASON), told: error.without_values() }
    }
}

/// Calls a step: decodes, calls the hook, encodes. A panic anywhere in it is the caller's to catch.
pub(crate) async fn invoke<S, Before>(
    call: Invocation,
    decode_before: fn(&str) -> Result<Before, PayloadError>,
) -> Reply
where
    S: Step,
    Before: FlowsInto<S::Input>,
{
    let Invocation { mut hook, input, state, cx, max_payload, .. } = call;
    let decoded = decode_before(&input).and_then(|before| Ok((before, decode::<S>(state.as_ref())?)));
    let (before, mut step) = match decoded {
        Ok(decoded) => decoded,
        Err(error) => return Reply::unreadable(&error),
    };
    let input: S::Input = before.flow();
    let mut answer = match hook {
        Hook::Start => step.on_start(&input, &cx).await,
        Hook::Continue | Hook::Undo => step.on_continue(&input, &cx).await,
        // In a box, so that the calls of other steps are no larger for it.
        Hook::Uncertain => Box::pin(step.on_uncertain(&input, &cx)).await,
    };
    if hook == Hook::Start && matches!(answer, Ok(Progress::Unwritten)) {
        hook = Hook::Continue;
        answer = step.on_continue(&input, &cx).await;
    }
    if hook == Hook::Continue && matches!(answer, Ok(Progress::Unwritten)) {
        answer = Box::pin(ask_alone(&mut step, &input, &cx)).await;
    }
    reply(hook, answer, &step, &cx, max_payload)
}

/// What a step's answer comes to.
pub(super) fn reply<S: Step>(
    hook: Hook,
    answer: StepResult<S::Output>,
    step: &S,
    cx: &StepContext,
    max_payload: usize,
) -> Reply {
    let outcome = outcome::<S>(hook, answer, max_payload);
    settle(hook, outcome, step, cx, max_payload)
}

pub(super) fn decode<S: Step>(state: Option<&Text>) -> Result<S, PayloadError> {
    state.map_or_else(|| Ok(S::default()), |state| S::decode(state))
}

fn outcome<S: Step>(hook: Hook, answer: StepResult<S::Output>, max_payload: usize) -> Outcome {
    match answer {
        Ok(Progress::Finished(output)) => match encode(&output, "output", max_payload) {
            Ok(json) => Outcome::Finished(json),
            Err(refused) => refused,
        },
        Ok(Progress::Pending { after }) => Outcome::Pending(after),
        Ok(Progress::AwaitSignal { name, timeout }) => {
            Outcome::AwaitSignal { name: Text::from(name), limit: timeout }
        }
        Ok(Progress::Cancelled { reason }) => Outcome::Cancelled(bounded(&reason, MAX_REASON)),
        Ok(Progress::StartAgain) if hook == Hook::Uncertain => Outcome::StartAgain,
        Ok(Progress::StartAgain) => Outcome::Failed(CauseKind::Error, misplaced(S::NAME)),
        Ok(Progress::Unwritten) if hook == Hook::Uncertain => {
            Outcome::Failed(CauseKind::InDoubt, unasked(S::NAME))
        }
        Ok(Progress::Unwritten) => Outcome::Failed(CauseKind::Error, unwritten(S::NAME)),
        Err(error) => failure(&error, &S::OPTIONS.retry),
    }
}

/// What is said of a step that lacks the function that would be called.
pub(super) fn unwritten(step: &str) -> Text {
    Text::from(format!("`{step}` answered `pending`, and has no `on_continue` to be asked by: write one"))
}

/// What is said of a step that starts again where it can't.
pub(super) fn misplaced(step: &str) -> Text {
    Text::from(format!(
        "`{step}` answered `start_again`, which says what became of a call: only `on_uncertain` answers it"
    ))
}

/// What is said of a step that can't be asked what became of it.
fn unasked(step: &str) -> Text {
    Text::from(format!(
        "`{step}` has no `on_uncertain` to be asked by; say what became of it: `orchestrator.settle::<{step}>(run)`"
    ))
}

/// What an error means under the step's policy.
pub(crate) fn failure(error: &StepError, retry: &RetryOptions) -> Outcome {
    let text = bounded(&error.to_string(), MAX_REASON);
    let worth_it = retry.only_if.is_none_or(|only_if| only_if(error));
    if error.is_fatal() || !worth_it {
        return Outcome::Failed(CauseKind::Error, text);
    }
    Outcome::Errored { error: text, retry_after: error.delay() }
}

/// Adds what the call leaves, if its outcome was one that counts.
pub(super) fn settle<S: Step>(
    hook: Hook,
    outcome: Outcome,
    step: &S,
    cx: &StepContext,
    max_payload: usize,
) -> Reply {
    let mut kept = cx.take_kept();
    let counts = !matches!(outcome, Outcome::Failed(..) | Outcome::Errored { .. });
    if !counts {
        return Reply::Answered { hook, outcome, kept: Kept::default() };
    }
    match encode(step, "state", max_payload) {
        Ok(state) => kept.state = Some(state).filter(|state| !is_empty(state)),
        Err(refused) => return Reply::Answered { hook, outcome: refused, kept: Kept::default() },
    }
    Reply::Answered { hook, outcome, kept }
}

/// Whether this is the state of a step without fields, which is not worth a column.
fn is_empty(state: &Text) -> bool {
    matches!(state.as_str(), "{}" | "null")
}

/// The JSON of a value, or the outcome of having none: that fails the step for good.
pub(crate) fn encode<T: Payload>(value: &T, what: &str, max_payload: usize) -> Result<Text, Outcome> {
    let json = value.encode().map_err(|error| {
        Outcome::Failed(CauseKind::Refused, bounded(&format!("the step's {what}: {error}"), MAX_REASON))
    })?;
    if json.len() > max_payload {
        let text = format!(
            "the step's {what} has {} bytes, and at most {max_payload} are stored: hand on a path or a key to it, or \
             raise `OrchestratorConfig::max_payload`",
            json.len()
        );
        return Err(Outcome::Failed(CauseKind::Refused, Text::from(text)));
    }
    Ok(json)
}
