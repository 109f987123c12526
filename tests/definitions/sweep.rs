//! A worker of a new program is cut off at every write that it makes, while it takes over the runs of an old one.

use std::collections::BTreeMap;
use std::time::Duration;

use prorch::Status;
use prorch::prelude::*;
use prorch::repository::{MemoryRepository, Repository};
use prorch_testkit::faults::Fault;
use prorch_testkit::sweep::Swept;
use prorch_testkit::{ManualClock, crash_sweep};

use crate::bench::{Hold, World, a, b, c};

mod old {
    use super::*;

    #[pipeline(name = "swept", steps = [a, Hold, c])]
    pub(crate) struct Photos;
}

mod new {
    use super::*;

    #[pipeline(name = "swept", steps = [a, Hold, b, c])]
    pub(crate) struct Photos;
}

/// The runs that the sweep starts are there already, by their keys: an old program began them, and is gone.
async fn begin(repository: impl Repository, runs: u64) {
    let clock = ManualClock::default();
    clock.set(prorch_core::clock::Clock::now(&clock).saturating_sub(Duration::from_secs(3_600)));
    let world = World::default();
    let old = Orchestrator::builder(repository).clock(clock.clone()).resource(world);
    let old = old.pipeline::<old::Photos>().build().unwrap();
    for number in 0..runs {
        assert!(old.start::<old::Photos>(0).key(format!("swept-{number}")).await.unwrap().is_new());
    }
    let report = old.execute_pipelines().await.unwrap();
    assert_eq!(report.waiting, runs);
}

/// Checks what came of a fault, and says how many calls were made again because of it.
fn check(swept: &Swept, calls: &[String], runs: usize) -> usize {
    let what = format!("{:?} at write {}", swept.fault, swept.write);
    assert_eq!(swept.stored.len(), runs, "{what}");
    for stored in &swept.stored {
        assert_eq!(stored.run.status(), Status::Finished, "{what}: {stored:#?}");
        assert_eq!(stored.run.state.output.as_deref(), Some("202"), "{what}");
        let names: Vec<&str> = stored.records.values().map(|record| &*record.name).collect();
        assert_eq!(names, ["a", "Hold", "c"], "{what}");
    }
    let count = |step: &str| calls.iter().filter(|call| *call == step).count();
    assert_eq!((count("a"), count("b")), (0, 0), "{what}");
    let (hold, last) = (count("Hold"), count("c"));
    assert!(hold >= runs && last >= runs, "{what}: {calls:?}");
    let again = hold + last - 2 * runs;
    if !swept.fault.kills() || !swept.happened {
        assert_eq!(again, 0, "{what}: {calls:?}");
    }
    if let Some(at_death) = &swept.at_death {
        // What was committed is not done again; what was not is done again once at most.
        let open = |step: &str| {
            let records = at_death.iter().flat_map(|stored| stored.records.values());
            let done = records.filter(|record| record.name == step && record.status == Status::Finished);
            runs - done.count()
        };
        assert!(again <= open("Hold") + open("c"), "{what}: {calls:?}");
    }
    again
}

async fn sweep<R: Repository>(open: impl AsyncFn() -> R, runs: usize) -> BTreeMap<Fault, (u32, usize)> {
    let mut seen: BTreeMap<Fault, (u32, usize)> = BTreeMap::new();
    let world = std::cell::RefCell::new(World::default());
    crash_sweep::<new::Photos, R>(
        open,
        vec![0; runs],
        |builder| {
            world.borrow().open();
            builder.resource(world.borrow().clone())
        },
        |swept| {
            let calls = world.take().told();
            let again = check(swept, &calls, runs);
            let (happened, repeated) = seen.entry(swept.fault).or_default();
            *happened += u32::from(swept.happened);
            *repeated += again;
        },
    )
    .await;
    seen
}

/// A save (which finds the run by its key), the adoption, a claim and two answers.
const WRITES: u32 = 5;

fn assert_swept(seen: &BTreeMap<Fault, (u32, usize)>) {
    for (fault, (happened, again)) in seen {
        let at_least = if *fault == Fault::DiesBetween { 0 } else { WRITES };
        assert!(*happened >= at_least, "{fault:?} happened {happened} times: {seen:?}");
        assert!(fault.kills() || *again == 0, "{fault:?} made {again} calls be made again");
    }
    assert_eq!(seen[&Fault::DiesBefore].1, 2, "each of the two answers is lost once");
    assert_eq!(seen[&Fault::DiesAfter].1, 0, "what was committed is not done again");
}

#[tokio::test]
async fn every_crash_on_the_memory_repository() {
    let open = async || {
        let repository = MemoryRepository::new();
        begin(repository.clone(), 1).await;
        repository
    };
    assert_swept(&sweep(open, 1).await);
}

#[tokio::test]
async fn every_crash_among_several_runs() {
    let open = async || {
        let repository = MemoryRepository::new();
        begin(repository.clone(), 3).await;
        repository
    };
    let seen = sweep(open, 3).await;
    assert!(seen.values().map(|(happened, _)| happened).sum::<u32>() > 4 * WRITES);
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn every_crash_on_sqlite() {
    use std::sync::atomic::{AtomicU32, Ordering};

    let directory = tempfile::tempdir().unwrap();
    let files = AtomicU32::new(0);
    let open = async || {
        let file = files.fetch_add(1, Ordering::SeqCst);
        let repository = SqliteRepository::open(directory.path().join(format!("{file}.db"))).unwrap();
        begin(repository.clone(), 1).await;
        repository
    };
    assert_swept(&sweep(open, 1).await);
}
