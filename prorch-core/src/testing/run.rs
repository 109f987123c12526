use std::time::Duration;

use crate::clock::{Clock, ManualClock};
use crate::config::OrchestratorConfig;
use crate::error::Error;
use crate::model::{Status, StoredRun};
use crate::orchestrator::{Orchestrator, OrchestratorBuilder, RunHandle};
use crate::payload::{Payload, PayloadError};
use crate::pipeline::Pipeline;
use crate::repository::MemoryRepository;

/// Runs a pipeline in memory, under a clock that skips every wait: polls, backoffs, deadlines and delays take no time.
///
/// ```
/// # use std::sync::OnceLock;
/// # use prorch_core::pipeline::{Pipeline, PipelineDefinition, Stage};
/// # use prorch_core::step::{Step, StepContext, StepDefinition, StepResult, finish};
/// # #[derive(Default, serde::Serialize, serde::Deserialize)]
/// # struct Double;
/// # impl StepDefinition for Double { const NAME: &'static str = "Double"; }
/// # impl Step for Double {
/// #     type Input = u32;
/// #     type Output = u32;
/// #     async fn on_start(&mut self, input: &u32, _: &StepContext) -> StepResult<u32> { finish(input * 2) }
/// # }
/// # struct Doubling;
/// # impl Pipeline for Doubling {
/// #     type Input = u32;
/// #     type Output = u32;
/// #     const NAME: &'static str = "Doubling";
/// #     fn definition() -> &'static PipelineDefinition {
/// #         static D: OnceLock<PipelineDefinition> = OnceLock::new();
/// #         D.get_or_init(|| PipelineDefinition::new("Doubling", module_path!(), vec![Stage::of::<Double, u32>()]))
/// #     }
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use prorch_core::testing::run;
///
/// let rehearsed = run::<Doubling>(21).execute().await.unwrap();
/// assert_eq!(rehearsed.output.unwrap(), 42);
/// # });
/// ```
#[must_use]
pub fn run<P: Pipeline>(input: P::Input) -> Rehearsal<P> {
    let clock = ManualClock::default();
    let repository = MemoryRepository::new();
    let builder = Orchestrator::builder(repository).clock(clock.clone()).pipeline::<P>();
    Rehearsal { input, clock, builder, signals: Vec::new() }
}

/// A pipeline that is about to be run in memory: see [`run`].
#[derive(Debug)]
pub struct Rehearsal<P: Pipeline> {
    input: P::Input,
    clock: ManualClock,
    builder: OrchestratorBuilder,
    signals: Vec<(String, serde_json::Value)>,
}

/// What came of a [`Rehearsal`].
#[non_exhaustive]
pub struct Rehearsed<P: Pipeline> {
    /// What the run ended with.
    pub output: Result<P::Output, Error>,
    /// The run and its steps' records, as they were stored at the end.
    pub stored: StoredRun,
    /// How long it would have taken by the waits alone.
    pub took: Duration,
}

impl<P: Pipeline> std::fmt::Debug for Rehearsed<P>
where
    P::Output: std::fmt::Debug,
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rehearsed")
            .field("output", &self.output)
            .field("stored", &self.stored)
            .field("took", &self.took)
            .finish()
    }
}

/// After so many passes a run that has not ended is given up.
const PASSES: usize = 10_000;

impl<P: Pipeline> Rehearsal<P> {
    /// Gives the steps a value of this type: `cx.resource::<T>()?`.
    #[must_use]
    pub fn resource<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.builder = self.builder.resource(value);
        self
    }

    /// Settings other than the defaults.
    #[must_use]
    pub fn config(mut self, config: OrchestratorConfig) -> Self {
        self.builder = self.builder.config(config);
        self
    }

    /// Sends a signal before the run begins; it waits in the inbox until a step takes it.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] when the value can't be encoded.
    pub fn signal<T: Payload>(mut self, name: &str, payload: &T) -> Result<Self, PayloadError> {
        let json = payload.encode()?;
        self.signals.push((name.to_owned(), serde_json::Value::decode(&json)?));
        Ok(self)
    }

    /// Runs the pipeline to its end.
    ///
    /// # Errors
    ///
    /// What [`Orchestrator`]'s calls say; [`Error::Engine`] when the run waits for something that never comes, or does
    /// not end in 10,000 passes. How the run itself ended is in [`Rehearsed::output`].
    pub async fn execute(self) -> Result<Rehearsed<P>, Error> {
        let began = self.clock.now();
        let orchestrator = self.builder.build()?;
        let run = orchestrator.start::<P>(self.input).await?;
        for (name, payload) in self.signals {
            orchestrator.signal(run.id(), &name, payload).await?;
        }
        for _ in 0..PASSES {
            orchestrator.execute_pipelines().await?;
            if run.status().await?.is_terminal() {
                return rehearsed(&orchestrator, run, self.clock.now().saturating_since(began)).await;
            }
            let wait = next_due(&orchestrator, &run, &self.clock).await?;
            self.clock.advance(wait);
        }
        Err(Error::Engine(format!("run {} has not ended in {PASSES} passes", run.id())))
    }
}

async fn rehearsed<P: Pipeline>(
    orchestrator: &Orchestrator,
    run: RunHandle<P>,
    took: Duration,
) -> Result<Rehearsed<P>, Error> {
    let stored = orchestrator.get(run.id()).await?.ok_or(Error::NotFound(run.id()))?;
    Ok(Rehearsed { output: run.wait().await, stored, took })
}

/// How long it is until the run is due.
async fn next_due<P: Pipeline>(
    orchestrator: &Orchestrator,
    run: &RunHandle<P>,
    clock: &ManualClock,
) -> Result<Duration, Error> {
    let stored = orchestrator.get(run.id()).await?.ok_or(Error::NotFound(run.id()))?;
    let (id, status) = (run.id(), stored.run.status());
    match stored.run.claimable_at() {
        Some(at) => Ok(at.saturating_since(clock.now())),
        None if status == Status::Pending => {
            let open = stored.current().filter(|record| record.awaits.is_some());
            let step = open.map(|record| &*record.name).next().unwrap_or_default();
            Err(Error::Engine(format!("run {id} waits at step `{step}` for a signal that nobody sent")))
        }
        None => Err(Error::Engine(format!("run {id} is {status}, and nothing makes it go on"))),
    }
}
