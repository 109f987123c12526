use super::Pipeline;
use crate::flow::FlowsInto;
use crate::model::{Hook, Kept, Outcome};
use crate::payload::PayloadError;
use crate::step::{Invocation, Reply, encode};

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
