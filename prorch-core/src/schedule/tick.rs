//! The step of a schedule.

use std::time::Duration;

use super::due::{Due, due};
use super::ticks::Ticks;
use crate::model::{
    Filter, NewRun, Outcome, Overlap, RunId, ScheduleChange, ScheduleState, Text, Timestamp, shown_tick,
};
use crate::payload::{Payload, PayloadError};
use crate::pipeline::{PipelineDefinition, Stage};
use crate::repository::StoreError;
use crate::step::{Invocation, Reply, StepContext, Tick};

/// How long to wait before a store that could not be read is asked again.
const READ_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// The pipeline that schedules of `pipeline` are runs of.
pub(crate) fn scheduler(pipeline: &'static PipelineDefinition) -> &'static PipelineDefinition {
    pipeline.scheduler(|pipeline| {
        let step = Stage::schedule::<ScheduleChange>(pipeline, |call| Box::pin(tick(call)));
        PipelineDefinition::new(ScheduleState::PIPELINE, module_path!(), vec![step])
    })
}

/// Looks which ticks are due: the call of a schedule's step.
async fn tick(call: Invocation) -> Reply {
    let Invocation { hook, input, state, cx, spawn, tick, .. } = call;
    let (Some(Tick { now, starts, is_declared }), Some(first)) = (tick, spawn) else {
        unreachable!("the step of a schedule is told the time, and given an id for a run")
    };
    let mut state = match read(&input, state.as_ref(), &cx) {
        Ok(state) => state,
        Err(error) => return Reply::unreadable(&error),
    };
    let ticks = match Ticks::new(&state.spec.cron, &state.spec.timezone) {
        Ok(ticks) => ticks,
        Err(why) => return Reply::Unreadable { told: why.clone(), why: Text::from(why) },
    };
    if state.spec.declared.is_some() && !is_declared {
        tracing::warn!(
            schedule = %state.spec.name,
            "the declaration of this schedule is gone, and it goes on: delete it (`delete_schedule`), or declare it again"
        );
    }
    let Due { mut fires, last } = due(&ticks, state.spec.missed, state.last, now);
    if state.spec.overlap == Overlap::Skip && !fires.is_empty() {
        fires.truncate(if goes_on(&state, &cx).await { 0 } else { 1 });
    }
    let new = |(at, tick): (u32, &Timestamp)| {
        let run = NewRun::new(nth(first, at), starts.clone(), state.spec.input.clone(), now);
        started(&state, *tick, run)
    };
    let runs: Vec<NewRun> = (0..).zip(&fires).map(new).collect();
    state.last = last.map_or(state.last, |last| last.max(state.last));
    state.fired = fires.last().copied().or(state.fired);
    // Not by the time that it is: a clock that was set back stays behind the last tick for a while.
    let next = ticks.after(state.last.max(now));
    let mut kept = cx.take_kept();
    match state.encode() {
        Ok(json) => kept.state = Some(json),
        Err(error) => return Reply::unreadable(&error),
    }
    Reply::Answered { hook, outcome: Outcome::Ticked { starts: runs, next }, kept }
}

/// The schedule as it stands, with what it was told since.
fn read(input: &str, state: Option<&Text>, cx: &StepContext) -> Result<ScheduleState, PayloadError> {
    let mut state = match state {
        Some(state) => ScheduleState::decode(state)?,
        None => ScheduleState::new(ScheduleChange::decode(input)?),
    };
    for told in cx.take_signals(ScheduleState::CHANGE) {
        match ScheduleChange::decode(&told) {
            Ok(change) => state.change(change),
            Err(error) => {
                let error = error.without_values();
                tracing::warn!(prorch.run = %cx.run_id(), %error, "a schedule was sent a signal that changes nothing");
            }
        }
    }
    Ok(state)
}

/// Whether the run of the last tick that fired has not ended. A store that can't be read for the moment is asked again for
/// as long as the call may take.
async fn goes_on(state: &ScheduleState, cx: &StepContext) -> bool {
    let (Some(fired), Some(repository)) = (state.fired, cx.repository()) else { return false };
    let filter = Filter::all().pipeline(&*state.spec.pipeline).key(&*state.key(fired)).limit(1);
    loop {
        match repository.search(&filter).await {
            Ok(page) => return page.runs.iter().any(|run| !run.status().is_terminal()),
            Err(error) => wait(cx, &error).await,
        }
    }
}

async fn wait(cx: &StepContext, error: &StoreError) {
    tracing::debug!(prorch.run = %cx.run_id(), %error, "it can't be read whether the run of the last tick goes on; trying again");
    tokio::time::sleep(READ_AGAIN_AFTER).await;
}

/// The run of a tick.
fn started(state: &ScheduleState, tick: Timestamp, run: NewRun) -> NewRun {
    let mut metadata = state.spec.metadata.clone();
    metadata.insert(ScheduleState::METADATA.into(), state.spec.name.as_str().into());
    metadata.insert("tick".into(), shown_tick(tick).into());
    NewRun { key: Some(state.key(tick)), priority: state.spec.priority, metadata, ..run }
}

/// The id with this number of those that begin with `first`.
fn nth(first: RunId, number: u32) -> RunId {
    let id = first.as_uuid().as_u128();
    let low = (id as u32).wrapping_add(number);
    RunId::from_uuid(uuid::Uuid::from_u128(id >> 32 << 32 | u128::from(low)))
}
