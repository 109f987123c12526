//! Workers of an old and a new program, beside and after each other.

use std::time::Duration;

use prorch::prelude::*;
use prorch::repository::{Filter, MemoryRepository, Repository};
use prorch::{Pipeline, RunId};

use crate::bench::{Hold, World, a, b, c};

/// Short, so that nobody waits long for a run that its own program does not take.
const LEASE: Duration = Duration::from_millis(500);

mod old {
    use super::*;

    #[pipeline(name = "workers", steps = [a, Hold, c])]
    pub(crate) struct Photos;
}

mod new {
    use super::*;

    #[pipeline(name = "workers", steps = [a, b, Hold, c])]
    pub(crate) struct Photos;
}

fn worker<P: Pipeline>(repository: impl Repository, world: &World, lease: Duration) -> Orchestrator {
    let config = OrchestratorConfig::default().lease(lease);
    Orchestrator::builder(repository).config(config).resource(world.clone()).pipeline::<P>().build().unwrap()
}

async fn start(old: &Orchestrator, runs: u64) -> Vec<RunId> {
    let mut started = Vec::new();
    for number in 0..runs {
        started.push(old.start::<old::Photos>(number).await.unwrap().id());
    }
    started
}

/// Waits until nothing is open.
async fn all_ended(orchestrator: &Orchestrator) {
    let ended = async {
        while !orchestrator.search(&Filter::active()).await.unwrap().runs.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ended).await.expect("they end");
}

/// How often each step was called.
fn count(world: &World, step: &str) -> usize {
    world.told().iter().filter(|call| *call == step).count()
}

#[tokio::test]
async fn a_worker_goes_on_with_the_runs_of_a_program_that_is_gone() {
    let (repository, world) = (MemoryRepository::new(), World::default());
    let old = worker::<old::Photos>(repository.clone(), &world, LEASE);
    // More than are looked at in one go.
    let runs = start(&old, 600).await;
    old.execute_pipelines().await.unwrap();
    assert_eq!(count(&world, "a"), runs.len());
    world.open();
    let new = worker::<new::Photos>(repository, &world, LEASE);
    new.run_until(all_ended(&new)).await.unwrap();
    for (number, run) in runs.iter().enumerate() {
        let output = new.handle::<new::Photos>(*run).await.unwrap().wait().await.unwrap();
        assert_eq!(output, number as u64 + 202);
    }
    for (step, calls) in [("a", runs.len()), ("b", 0), ("Hold", runs.len()), ("c", runs.len())] {
        assert_eq!(count(&world, step), calls, "{step}");
    }
}

#[tokio::test]
async fn runs_that_come_later_are_found_too() {
    let (repository, world) = (MemoryRepository::new(), World::default());
    world.open();
    let old = worker::<old::Photos>(repository.clone(), &world, LEASE);
    let new = worker::<new::Photos>(repository, &world, LEASE);
    let work = async {
        let own = new.start::<new::Photos>(0).await.unwrap();
        assert_eq!(own.wait().await.unwrap(), 203);
        // The new worker has looked, and found none.
        start(&old, 3).await;
        all_ended(&new).await;
    };
    new.run_until(work).await.unwrap();
    assert_eq!((count(&world, "a"), count(&world, "b"), count(&world, "c")), (4, 1, 4));
}

#[tokio::test]
async fn what_a_worker_of_its_own_program_takes_is_left_to_that() {
    let (repository, world) = (MemoryRepository::new(), World::default());
    world.open();
    let long = Duration::from_secs(30);
    let old = worker::<old::Photos>(repository.clone(), &world, long);
    let new = worker::<new::Photos>(repository, &world, long);
    let work = async {
        let runs = start(&old, 100).await;
        all_ended(&old).await;
        for run in runs {
            let stored = old.get(run).await.unwrap().unwrap();
            let own = old.handle::<old::Photos>(run).await.unwrap();
            assert_eq!(stored.run.definition, old::Photos::definition().key());
            own.wait().await.unwrap();
        }
    };
    let both = async { tokio::join!(old.run_until(work), new.run_until(all_ended_after(&new))) };
    let (one, other) = both.await;
    one.unwrap();
    other.unwrap();
}

/// Waits until runs were there, and none is open any more.
async fn all_ended_after(orchestrator: &Orchestrator) {
    while orchestrator.search(&Filter::all().limit(100)).await.unwrap().runs.len() < 100 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    all_ended(orchestrator).await;
}
