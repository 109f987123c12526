//! A pipeline that is told things: what it has done is in what it hands on.

use std::time::Duration;

use prorch::prelude::*;
use serde::{Deserialize, Serialize};

use crate::script::World;

/// Names are text, and any text may be one.
pub(crate) const SIGNAL: &str = r#"it's "so"; --"#;

/// How the second step waits.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Wait {
    /// For nothing: it polls twice.
    Polls,
    /// For two signals, however long it takes.
    Listens,
    /// For two signals, each so many hours.
    ListensFor(u64),
    /// It errs as long as it is broken.
    Errs,
    /// It says that it can't be done as long as it is broken.
    Fails,
}

/// What was done for a run so far, as far as it was committed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) calls: u32,
    pub(crate) heard: Vec<u64>,
}

impl Done {
    fn and_a_call(&self) -> Self {
        Self { calls: self.calls + 1, heard: self.heard.clone() }
    }
}

#[step]
async fn first(_: Wait, world: &World, cx: &StepContext) -> StepResult<Done> {
    world.called("first", cx).await?;
    finish(Done::default().and_a_call())
}

#[step(retry(max_attempts = 2, backoff = "1s..1s"), poll = "1s")]
struct Listen {
    done: Done,
}

impl Listen {
    fn waits<T>(&self, wait: Wait) -> StepResult<T> {
        match wait {
            Wait::Polls => pending_for(Duration::from_secs(1)),
            Wait::Errs | Wait::Fails => pending(),
            Wait::Listens => wait_for_signal(SIGNAL, None),
            Wait::ListensFor(hours) => wait_for_signal(SIGNAL, Duration::from_secs(3_600 * hours)),
        }
    }
}

impl Step for Listen {
    type Input = Done;
    type Output = Done;

    async fn on_start(&mut self, before: &Done, cx: &StepContext) -> StepResult<Done> {
        cx.resource::<World>()?.called("listen", cx).await?;
        self.done = before.and_a_call();
        self.waits(cx.run_input()?)
    }

    async fn on_continue(&mut self, _: &Done, cx: &StepContext) -> StepResult<Done> {
        let world = cx.resource::<World>()?;
        world.called("heard", cx).await?;
        let wait = cx.run_input()?;
        self.done = self.done.and_a_call();
        match (wait, world.is_broken()) {
            (Wait::Errs, true) => return Err("it is broken".into()),
            (Wait::Fails, true) => return fail("it can't be done"),
            (Wait::Polls, _) if self.done.calls < 4 => return pending(),
            (Wait::Polls | Wait::Errs | Wait::Fails, _) => return finish(self.done.clone()),
            (Wait::Listens | Wait::ListensFor(_), _) => {}
        }
        let Some(number) = cx.signal(SIGNAL)? else { return finish(self.done.clone()) };
        self.done.heard.push(number);
        if self.done.heard.len() == 2 { finish(self.done.clone()) } else { self.waits(wait) }
    }
}

#[step]
async fn last(done: Done, world: &World, cx: &StepContext) -> StepResult<Done> {
    world.called("last", cx).await?;
    finish(done.and_a_call())
}

#[pipeline(input = Wait, output = Done, steps = [first, Listen, last])]
pub(crate) struct Told;
