//! Steps that do what their run's script says.

use std::sync::Arc;

use fastrand::Rng;
use prorch_core::step::{
    Progress, RetryOptions, Step, StepContext, StepDefinition, StepError, StepOptions, StepResult,
};
use serde::{Deserialize, Serialize};

use super::scene::Scene;
use super::script::{MAX_ATTEMPTS, Phase, Script, Then};
use super::shapes::LISTS;

/// What goes from step to step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Handed {
    /// By what the steps to come know what to do.
    pub(super) seed: u64,
    /// What the steps so far left.
    pub(super) marks: Vec<u64>,
}

impl Handed {
    /// What a run is started with.
    pub(super) const fn of(seed: u64) -> Self {
        Self { seed, marks: Vec::new() }
    }

    /// What the step with this number hands on when it got this, and heard these signals.
    pub(super) fn after(&self, step: usize, heard: &[Option<u64>]) -> Self {
        let mut marks = self.marks.clone();
        marks.push(step as u64);
        marks.extend(heard.iter().map(|heard| heard.unwrap_or(u64::MAX)));
        Self { seed: self.seed, marks }
    }

    /// The items of the list that it stands for: none to four, each with a script of its own.
    pub(super) fn items(&self) -> Vec<Self> {
        let mut dice = Rng::with_seed(self.seed);
        let many = if self.seed == 0 { 2 } else { dice.u64(..5) };
        let mut seed = || if self.seed == 0 || dice.bool() { 0 } else { dice.u64(1..1_000_000) };
        (0..many).map(|item| Self { seed: seed(), marks: vec![item] }).collect()
    }
}

/// What members of a stage handed on together.
impl From<Vec<Handed>> for Handed {
    fn from(parts: Vec<Handed>) -> Self {
        let seed = parts.iter().fold(0, |seed: u64, part| seed.rotate_left(7) ^ part.seed);
        Self { seed, marks: parts.into_iter().flat_map(|part| part.marks).collect() }
    }
}

impl From<(Handed, Handed)> for Handed {
    fn from((one, other): (Handed, Handed)) -> Self {
        Self::from(vec![one, other])
    }
}

/// The step with the number `N`. Its fields tell what of it was committed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Scripted<const N: usize> {
    #[serde(flatten)]
    state: Done,
}

/// What of a step was committed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Done {
    /// The calls that did it, each by its number.
    pub(super) calls: Vec<u64>,
    /// What it heard, each time that it waited for a signal; none where it waited in vain.
    pub(super) heard: Vec<Option<u64>>,
}

pub(super) const NAMES: [&str; 5] = ["first", "second", "third", "fourth", "lists"];

const OPTIONS: StepOptions = StepOptions {
    retry: RetryOptions { max_attempts: Some(MAX_ATTEMPTS), ..RetryOptions::NONE },
    ..StepOptions::NONE
};

/// The first calls of these are made at most once: of those with an odd number.
const fn is_once(step: usize) -> bool {
    step % 2 == 1
}

impl<const N: usize> StepDefinition for Scripted<N> {
    const NAME: &'static str = NAMES[N];
    const OPTIONS: StepOptions = StepOptions { at_most_once: is_once(N), ..OPTIONS };
}

impl<const N: usize> Step for Scripted<N> {
    type Input = Handed;
    type Output = Handed;

    async fn on_start(&mut self, given: &Handed, cx: &StepContext) -> StepResult<Handed> {
        if is_once(N) {
            cx.resource::<Arc<Scene>>()?.begin_once(cx);
        }
        self.state.call(N, given, cx, |handed| handed).await
    }

    async fn on_uncertain(&mut self, _: &Handed, cx: &StepContext) -> StepResult<Handed> {
        cx.resource::<Arc<Scene>>()?.ask(cx, self.state.calls.len());
        Ok(Progress::StartAgain)
    }

    async fn on_continue(&mut self, given: &Handed, cx: &StepContext) -> StepResult<Handed> {
        self.state.call(N, given, cx, |handed| handed).await
    }
}

/// A step that hands on a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lists {
    #[serde(flatten)]
    state: Done,
}

impl StepDefinition for Lists {
    const NAME: &'static str = NAMES[LISTS];
    const OPTIONS: StepOptions = OPTIONS;
}

impl Step for Lists {
    type Input = Handed;
    type Output = Vec<Handed>;

    async fn on_start(&mut self, given: &Handed, cx: &StepContext) -> StepResult<Vec<Handed>> {
        self.state.call(LISTS, given, cx, |handed| handed.items()).await
    }

    async fn on_continue(&mut self, given: &Handed, cx: &StepContext) -> StepResult<Vec<Handed>> {
        self.state.call(LISTS, given, cx, |handed| handed.items()).await
    }
}

impl Done {
    async fn call<T>(
        &mut self,
        step: usize,
        given: &Handed,
        cx: &StepContext,
        hand_on: impl Fn(Handed) -> T,
    ) -> StepResult<T> {
        let scene = cx.resource::<Arc<Scene>>()?;
        let script = Script::of(given.seed, step);
        let at = self.calls.len();
        let phase = script.phases.get(at).ok_or_else(|| StepError::fatal("called after its end"))?;
        let (call, nth) = scene.begin(cx, at);
        if phase.is_held {
            scene.hold(cx.run_id(), call).await;
        }
        if nth <= phase.errs {
            return err(phase);
        }
        if let Some((name, limit)) = script.awaited(at) {
            let heard = cx.signal::<u64>(name.as_str())?;
            if heard.is_none() && limit.is_none() && scene.has_neighbours(cx.run_id()) {
                // Another member of the stage took the signal.
                return Ok(Progress::AwaitSignal { name: name.as_str().into(), timeout: None });
            }
            if heard.is_none() && limit.is_none() {
                scene.wrong(format!("{} of run {} is woken without a signal", cx.step_name(), cx.run_id()));
            }
            self.heard.push(heard);
        }
        self.calls.push(call);
        let is_mended = scene.is_mended(cx.run_id());
        match phase.then {
            Then::Fail if !is_mended => Err(StepError::fatal("it can't be done")),
            Then::Err if !is_mended => err(phase),
            Then::Finish | Then::Fail | Then::Err => {
                Ok(Progress::Finished(hand_on(given.after(step, &self.heard))))
            }
            Then::Poll(after) => Ok(Progress::Pending { after }),
            Then::Await(name, timeout) => Ok(Progress::AwaitSignal { name: name.as_str().into(), timeout }),
            Then::Cancel => Ok(Progress::Cancelled { reason: "the step says so".into() }),
        }
    }
}

fn err<T>(phase: &Phase) -> StepResult<T> {
    if phase.panics {
        // Nobody needs to read of it, as of other panics.
        std::panic::resume_unwind(Box::new("not yet"));
    }
    Err("not yet".into())
}
