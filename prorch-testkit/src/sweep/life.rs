use prorch_core::clock::{Clock, ManualClock};
use prorch_core::error::Error;
use prorch_core::model::{Filter, Part, Position, RunId, StoredRun};
use prorch_core::orchestrator::Orchestrator;
use prorch_core::pipeline::Pipeline;
use prorch_core::repository::Repository;

/// After so many passes runs that have not ended are given up.
const PASSES: u32 = 1_000;

/// A worker's life: it starts the runs, if that was not done, and makes passes until all have ended. Every worker starts
/// them under the same keys, so that all mean the same runs.
pub(super) async fn live<P: Pipeline>(
    orchestrator: &Orchestrator,
    clock: &ManualClock,
    inputs: Vec<P::Input>,
) -> Result<(), Error> {
    let mut runs = Vec::new();
    for (number, input) in inputs.into_iter().enumerate() {
        runs.push(orchestrator.start::<P>(input).key(format!("swept-{number}")).await?.id());
    }
    for _ in 0..PASSES {
        orchestrator.execute_pipelines().await?;
        let mut due = Vec::new();
        for run in &runs {
            let stored = orchestrator.get(*run).await?.ok_or(Error::NotFound(*run))?;
            if !stored.run.status().is_terminal() {
                let at = stored.run.claimable_at();
                due.push(at.unwrap_or_else(|| panic!("the run waits for what never comes: {stored:#?}")));
            }
        }
        let Some(next) = due.into_iter().min() else { return Ok(()) };
        clock.advance(next.saturating_since(clock.now()));
    }
    panic!("the runs {runs:?} have not ended in {PASSES} passes");
}

/// All runs with all their records.
pub(super) async fn stored(repository: &impl Repository) -> Vec<StoredRun> {
    let page = repository.search(&Filter::all().limit(10_000)).await.expect("the store can be read");
    let mut stored = Vec::new();
    for run in page.runs {
        stored.push(whole(repository, run.id).await);
    }
    stored
}

async fn whole(repository: &impl Repository, run: RunId) -> StoredRun {
    let all = Part::Records { from: Position::default(), limit: 10_000 };
    repository.get(run, all).await.expect("the store can be read").expect("the run is there")
}
