use super::Pipeline;
use crate::flow::FlowsInto;
use crate::model::{Hook, Kept, Outcome};
use crate::payload::PayloadError;
use crate::step::{Invocation, Reply, Step, encode, failure, undo_by};

/// The call of a step that is a run of `P`: turns what was handed on into what the run is started with.
pub(super) async fn spawn<P, Before>(
    call: Invocation,
    decode: fn(&str) -> Result<Before, PayloadError>,
) -> Reply
where
    P: Pipeline,
    Before: FlowsInto<P::Input>,
{
    let Invocation { input, max_payload, spawn, .. } = call;
    let Some(run) = spawn else { unreachable!("a step that starts a run is given an id for it") };
    let before = match decode(&input) {
        Ok(before) => before,
        Err(error) => return Reply::unreadable(&error),
    };
    let input: P::Input = before.flow();
    let outcome = match encode(&input, "input for the run", max_payload) {
        Ok(input) => Outcome::Spawn { run, input },
        Err(refused) => refused,
    };
    Reply::Answered { hook: Hook::Start, outcome, kept: Kept::default() }
}

/// The call that undoes a run of `P`, by the step `U`. An end never changes: what the run did is undone from here, and
/// the run stays what it is.
pub(super) async fn undo_run<P, U, Before>(
    call: Invocation,
    decode: fn(&str) -> Result<Before, PayloadError>,
) -> Reply
where
    P: Pipeline,
    U: Step,
    Before: FlowsInto<P::Input>,
    (P::Input, Option<P::Output>): FlowsInto<U::Input>,
{
    let Invocation { input, state, cx, max_payload, undo, .. } = call;
    let (child, hook) = undo.map_or((None, Hook::Start), |undo| (undo.child, undo.hook));
    let output = match child {
        None => None,
        Some(child) => match cx.output_of_run(child).await {
            Ok(output) => Some(output),
            Err(error) => {
                let outcome = failure(&error, &U::OPTIONS.retry);
                return Reply::Answered { hook: Hook::Undo, outcome, kept: Kept::default() };
            }
        },
    };
    let decoded = decode(&input).and_then(|before| {
        let output = output.map(|output| P::definition().output::<P::Output>(&output)).transpose()?;
        Ok((before.flow(), output))
    });
    let input: U::Input = match decoded {
        Ok(decoded) => decoded.flow(),
        Err(error) => return Reply::unreadable(&error),
    };
    undo_by::<U>(&input, hook, state.as_ref(), &cx, max_payload).await
}
