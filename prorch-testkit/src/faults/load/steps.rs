//! A pipeline of three steps in which a run does, by its number, what runs do: wait, err, listen.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prorch_core::pipeline::{Pipeline, PipelineDefinition, Stage};
use prorch_core::step::{
    Step, StepContext, StepDefinition, StepError, StepResult, finish, pending, pending_for, wait_for_signal,
};
use serde::{Deserialize, Serialize};

use super::witness::Witness;

/// What a run does in its second step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is done at once.
    Quick,
    /// It is asked three times.
    Polled,
    /// It errs twice.
    Erring,
    /// It waits for a signal.
    Listening,
    /// It waits for long, and is cancelled.
    Cancelled,
}

pub(super) fn kind(number: u64) -> Kind {
    match number % 5 {
        0 => Kind::Quick,
        1 => Kind::Polled,
        2 => Kind::Erring,
        3 => Kind::Listening,
        _ => Kind::Cancelled,
    }
}

/// What a run ends with when nobody cancels it.
pub(super) fn output(number: u64) -> u64 {
    let heard = if kind(number) == Kind::Listening { signal(number) } else { 0 };
    2 * number + heard + number
}

/// What a run is told for which it waits.
pub(super) const fn signal(number: u64) -> u64 {
    1_000_000 + number
}

macro_rules! steps {
    ($($name:ident),*) => {$(
        impl StepDefinition for $name {
            const NAME: &'static str = stringify!($name);
        }
    )*};
}

steps!(Take, Work, Deliver);

/// Notes a call, and says the how-many-th it is. Not [`StepContext::attempt`]: that also counts a claim whose answer was
/// lost, since nobody can tell whether a call was made under it.
fn note(cx: &StepContext) -> Result<u32, StepError> {
    Ok(cx.resource::<Arc<Witness>>()?.effect(cx.run_id(), cx.step_name()))
}

/// Doubles the number.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Take;

impl Step for Take {
    type Input = u64;
    type Output = u64;

    async fn on_start(&mut self, number: &u64, cx: &StepContext) -> StepResult<u64> {
        note(cx)?;
        finish(number * 2)
    }
}

/// Does what the run's [`Kind`] is.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Work {
    asked: u32,
}

impl Step for Work {
    type Input = u64;
    type Output = u64;

    async fn on_start(&mut self, doubled: &u64, cx: &StepContext) -> StepResult<u64> {
        let call = note(cx)?;
        match kind(doubled / 2) {
            Kind::Quick => finish(*doubled),
            Kind::Polled => pending(),
            Kind::Erring if call <= 2 => Err("not yet".into()),
            Kind::Erring => finish(*doubled),
            Kind::Listening => wait_for_signal("go", Duration::from_secs(100_000_000)),
            Kind::Cancelled => pending_for(Duration::from_secs(100_000_000)),
        }
    }

    async fn on_continue(&mut self, doubled: &u64, cx: &StepContext) -> StepResult<u64> {
        note(cx)?;
        self.asked += 1;
        match cx.signal::<u64>("go")? {
            Some(heard) => finish(doubled + heard),
            None if self.asked < 3 => pending(),
            None => finish(*doubled),
        }
    }
}

/// Adds what the run was started with, and half of what the first step made, read again.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Deliver;

impl Step for Deliver {
    type Input = u64;
    type Output = u64;

    async fn on_start(&mut self, worked: &u64, cx: &StepContext) -> StepResult<u64> {
        note(cx)?;
        finish(worked + cx.output::<Take>().await? / 2)
    }
}

/// The three.
pub(super) struct Mixed;

impl Pipeline for Mixed {
    type Input = u64;
    type Output = u64;
    const NAME: &'static str = "mixed";

    fn definition() -> &'static PipelineDefinition {
        static DEFINITION: OnceLock<PipelineDefinition> = OnceLock::new();
        DEFINITION.get_or_init(|| {
            let stages =
                vec![Stage::of::<Take, u64>(), Stage::of::<Work, u64>(), Stage::of::<Deliver, u64>()];
            PipelineDefinition::new("mixed", module_path!(), stages)
        })
    }
}
