use prorch_core::clock::{Clock, ManualClock};
use prorch_core::error::Error;
use prorch_core::model::{Part, Position, RunId, StoredRun};
use prorch_core::orchestrator::Orchestrator;
use prorch_core::pipeline::Pipeline;
use prorch_core::repository::Repository;

/// Every worker starts the run under this key, so that all of them mean one run.
const KEY: &str = "swept";
/// After so many passes a run that has not ended is given up.
const PASSES: u32 = 1_000;

/// A worker's life: it starts the run, if that was not done, and makes passes until the run ended.
pub(super) async fn live<P: Pipeline>(
    orchestrator: &Orchestrator,
    clock: &ManualClock,
    input: P::Input,
) -> Result<RunId, Error> {
    let run = orchestrator.start::<P>(input).key(KEY).await?.id();
    for _ in 0..PASSES {
        orchestrator.execute_pipelines().await?;
        let stored = orchestrator.get(run).await?.ok_or(Error::NotFound(run))?;
        if stored.run.status().is_terminal() {
            return Ok(run);
        }
        let due = stored.run.claimable_at();
        let due = due.unwrap_or_else(|| panic!("the run waits for what never comes: {stored:#?}"));
        clock.advance(due.saturating_since(clock.now()));
    }
    panic!("run {run} has not ended in {PASSES} passes");
}

/// The run with all its records.
pub(super) async fn stored(repository: &impl Repository, run: RunId) -> StoredRun {
    let all = Part::Records { from: Position::default(), limit: 10_000 };
    repository.get(run, all).await.expect("the store can be read").expect("the run is there")
}
