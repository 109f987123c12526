//! Runs that nobody here can go on with.

use std::time::{Duration, Instant};

use prorch::prelude::*;
use prorch::repository::{MemoryRepository, Repository};
use prorch_testkit::ManualClock;
use tracing::Level;

use crate::capture::{listen, told};

#[step]
async fn quick(number: u64) -> StepResult<u64> {
    finish(number)
}

#[pipeline(name = "known-here", steps = [quick])]
struct Known;

#[pipeline(name = "unknown-here", steps = [quick])]
struct Unknown;

#[pipeline(name = "known-here", steps = [quick, quick])]
struct OtherSteps;

fn orchestrator<P: prorch::Pipeline>(repository: impl Repository, clock: &ManualClock) -> Orchestrator {
    Orchestrator::builder(repository).clock(clock.clone()).pipeline::<P>().build().unwrap()
}

#[tokio::test]
async fn a_worker_names_a_pipeline_that_is_unknown_here_once() {
    listen();
    let (repository, clock) = (MemoryRepository::new(), ManualClock::default());
    let (unknown, other) = (
        orchestrator::<Unknown>(repository.clone(), &clock),
        orchestrator::<OtherSteps>(repository.clone(), &clock),
    );
    let mut left = Vec::new();
    for number in 0..20 {
        left.push(unknown.start::<Unknown>(number).await.unwrap().id());
        left.push(other.start::<OtherSteps>(number).await.unwrap().id());
    }
    let worker = orchestrator::<Known>(repository, &clock);
    // What is due is told by the time that is written, not by a time of day that somebody sets.
    let started = unknown.get(left[0]).await.unwrap().unwrap().run.created_at;
    clock.set(started.saturating_sub(Duration::from_secs(3_600)));
    let named = || {
        let ids: Vec<String> = left.iter().map(ToString::to_string).collect();
        told(|told| told.level == Level::WARN && ids.iter().any(|id| told.has(id)))
    };
    let work = async {
        let deadline = Instant::now() + Duration::from_secs(30);
        while named().len() < 2 {
            assert!(Instant::now() < deadline, "they are not named: {:#?}", named());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // Looks that find the same again.
        for number in 0..40 {
            clock.advance(Duration::from_secs(61));
            assert_eq!(worker.start::<Known>(number).await.unwrap().wait().await.unwrap(), number);
        }
    };
    worker.run_until(work).await.unwrap();
    let named = named();
    assert_eq!(named.len(), 2, "{named:#?}");
    assert!(named.iter().any(|named| named.has("no pipeline `unknown-here` is known here")), "{named:#?}");
    assert!(
        named.iter().any(|named| named.has("it needs the step `quick#2` (stage 1 of its list)")),
        "{named:#?}"
    );
}
