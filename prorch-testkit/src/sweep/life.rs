use prorch_core::clock::{Clock, ManualClock};
use prorch_core::error::Error;
use prorch_core::model::{Filter, Part, Position, Run, RunId, StoredRun};
use prorch_core::orchestrator::Orchestrator;
use prorch_core::pipeline::Pipeline;
use prorch_core::repository::Repository;

/// After so many passes runs that have not ended are given up.
const PASSES: u32 = 1_000;

/// A worker's life: it starts the runs, if that was not done, and makes passes until all have ended, those too that they
/// have started. Every worker starts
/// them under the same keys, so that all mean the same runs.
pub(super) async fn live<P: Pipeline>(
    orchestrator: &Orchestrator,
    clock: &ManualClock,
    inputs: Vec<P::Input>,
) -> Result<(), Error> {
    for (number, input) in inputs.into_iter().enumerate() {
        orchestrator.start::<P>(input).key(format!("swept-{number}")).await?;
    }
    for _ in 0..PASSES {
        orchestrator.execute_pipelines().await?;
        let open = orchestrator.search(&Filter::active().limit(10_000)).await?.runs;
        if open.is_empty() {
            return Ok(());
        }
        let next = open.iter().filter_map(Run::claimable_at).min();
        let next = next.unwrap_or_else(|| panic!("all wait for what never comes: {open:#?}"));
        clock.advance(next.saturating_since(clock.now()));
    }
    panic!("the runs have not ended in {PASSES} passes");
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
