//! Whatever happens to a write that makes a schedule, or that its ticks start a run by, before, at, or after it, and to the
//! worker: each tick has made one run, and none has made two.

use std::sync::Arc;

use prorch::prelude::*;
use prorch::repository::{Filter, MemoryRepository, Repository};
use prorch::{Error, Missed};
use prorch_testkit::ManualClock;
use prorch_testkit::faults::{Fault, FaultyRepository};

use crate::bench::{HOUR, LONGER_THAN_A_LEASE, Note, note, orchestrator, ticks};

/// The same as [`Note`], with a schedule.
#[pipeline(steps = [note], schedule = "0 * * * *", missed = all(10))]
struct Hourly;

/// Where the schedule comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    AtRunTime,
    Declared,
}

const TICKS: usize = 2;

fn worker(repository: impl Repository, clock: &ManualClock, made: Made) -> Orchestrator {
    match made {
        Made::AtRunTime => orchestrator(repository, clock),
        Made::Declared => {
            Orchestrator::builder(repository).clock(clock.clone()).pipeline::<Hourly>().build().unwrap()
        }
    }
}

/// A worker's life: it makes the schedule, works for as many ticks, and deletes it.
async fn live(orchestrator: &Orchestrator, clock: &ManualClock, made: Made) -> Result<(), Error> {
    if made == Made::AtRunTime {
        orchestrator.schedule::<Note>("hourly", "0 * * * *", 1).missed(Missed::All(10)).await?;
    }
    for _ in 0..100 {
        orchestrator.execute_pipelines().await?;
        let runs = orchestrator.search(&Filter::all().pipeline(pipeline(made)).limit(100)).await?.runs;
        if runs.len() >= TICKS && runs.iter().all(|run| run.status().is_terminal()) {
            return Ok(());
        }
        clock.advance(if runs.iter().any(|run| !run.status().is_terminal()) {
            LONGER_THAN_A_LEASE
        } else {
            HOUR
        });
    }
    panic!("no tick has fired");
}

fn pipeline(made: Made) -> &'static str {
    if made == Made::Declared { Hourly::NAME } else { Note::NAME }
}

struct Swept {
    writes: u64,
    happened: bool,
}

async fn sweep(store: &Arc<impl Repository>, fault: Fault, write: u64, made: Made) -> Swept {
    let clock = ManualClock::default();
    let faulty = FaultyRepository::at(store.clone(), fault, write);
    let what = format!("{fault:?} at write {write}, {made:?}");
    let mut deaths = 0;
    loop {
        match live(&worker(faulty.clone(), &clock, made), &clock, made).await {
            Ok(()) => break,
            Err(error) => assert!(faulty.is_dead() && deaths == 0, "{what}: {error}"),
        }
        deaths += 1;
        faulty.revive();
    }
    faulty.settle().await;
    let sound = worker(FaultyRepository::at(store.clone(), fault, u64::MAX), &clock, made);
    let name = if made == Made::Declared { Hourly::NAME } else { "hourly" };
    assert_eq!(sound.schedules().await.unwrap().len(), 1, "{what}");
    let filter = Filter::all().pipeline(pipeline(made)).metadata("schedule", name);
    let runs = sound.search(&filter).await.unwrap().runs;
    let mut keys: Vec<String> = runs.iter().map(|run| run.key.as_ref().unwrap().to_string()).collect();
    keys.sort();
    assert!(keys.len() >= TICKS, "{what}: {keys:?}");
    let expected: Vec<String> =
        (1..=keys.len()).map(|hour| format!("{name}@2026-01-01T{hour:02}:00:00Z")).collect();
    assert_eq!(keys, expected, "{what}");
    Swept { writes: faulty.writes(), happened: !faulty.happened().is_empty() }
}

async fn sweep_all<R: Repository>(open: impl AsyncFn() -> R) {
    for made in [Made::AtRunTime, Made::Declared] {
        for fault in Fault::AT_A_WRITE {
            let mut happened = 0;
            for write in 0.. {
                let swept = sweep(&Arc::new(open().await), fault, write, made).await;
                happened += u64::from(swept.happened);
                if swept.writes <= write {
                    break;
                }
            }
            let at_least = if fault == Fault::DiesBetween { 0 } else { 3 * TICKS as u64 };
            assert!(happened >= at_least, "{fault:?} happened {happened} times");
        }
    }
}

#[tokio::test]
async fn each_tick_makes_one_run_under_every_crash() {
    sweep_all(async || MemoryRepository::new()).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn each_tick_makes_one_run_under_every_crash_on_sqlite() {
    sweep_all(async || SqliteRepository::open_in_memory().unwrap()).await;
}

#[tokio::test]
async fn deleting_it_again_and_again_and_making_it_again_never_fires_a_tick_twice() {
    let clock = ManualClock::default();
    let orchestrator = orchestrator(MemoryRepository::new(), &clock);
    for _ in 0..3 {
        orchestrator.schedule::<Note>("hourly", "0 * * * *", 1).await.unwrap();
        orchestrator.execute_pipelines().await.unwrap();
        clock.advance(HOUR);
        orchestrator.execute_pipelines().await.unwrap();
        orchestrator.execute_pipelines().await.unwrap();
        orchestrator.delete_schedule("hourly").await.unwrap();
    }
    let expected: Vec<String> = (1..=3).map(|hour| format!("2026-01-01T{hour:02}:00:00Z")).collect();
    assert_eq!(ticks(&orchestrator, "hourly").await, expected);
}
