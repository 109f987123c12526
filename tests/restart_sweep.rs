//! A restart is one write. Whatever happens to it, before, at, or after it, and to the worker that then does the new run:
//! the one who asks for it again gets the one new run, and nothing that had finished is done a second time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prorch::prelude::*;
use prorch::repository::{Filter, MemoryRepository, Repository, StoredRun};
use prorch::{Error, RunId, Status};
use prorch_testkit::ManualClock;
use prorch_testkit::faults::{Fault, FaultyRepository};

/// How often each step was called.
type Counts = BTreeMap<String, u32>;

#[derive(Clone, Debug, Default)]
struct World(Arc<Mutex<Counts>>);

impl World {
    fn counts(&self) -> Counts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Does it once more, and says how often it was done.
    fn does(&self, cx: &StepContext) -> u32 {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(cx.step_name().to_owned()).or_default();
        *count += 1;
        *count
    }
}

#[step]
async fn items(count: u32, world: &World, cx: &StepContext) -> StepResult<Vec<u32>> {
    world.does(cx);
    finish((0..count).collect())
}

#[step]
async fn weigh(item: u32, world: &World, cx: &StepContext) -> StepResult<u32> {
    world.does(cx);
    finish(item + 1)
}

#[step]
async fn pack(weights: Vec<u32>, world: &World, cx: &StepContext) -> StepResult<u32> {
    world.does(cx);
    finish(weights.iter().sum())
}

/// Can't be done the first time.
#[step]
async fn ship(weight: u32, world: &World, cx: &StepContext) -> StepResult<u32> {
    if world.does(cx) == 1 { fail("the road is closed") } else { finish(weight) }
}

#[step]
async fn bill(weight: u32, world: &World, cx: &StepContext) -> StepResult<u32> {
    world.does(cx);
    finish(weight * 10)
}

#[pipeline(steps = [items, each(weigh), pack, ship, bill])]
struct Parcel;

const ITEMS: u32 = 3;
/// The sum of the weights, times ten.
const OUTPUT: u32 = 60;

/// So that what a dead worker held is taken over in the next pass.
const LONGER_THAN_A_LEASE: Duration = Duration::from_secs(31);

/// Whoever asks for a restart may give it a key, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Given,
    None,
}

fn orchestrator(repository: impl Repository, clock: &ManualClock, world: &World) -> Orchestrator {
    let builder = Orchestrator::builder(repository).clock(clock.clone()).resource(world.clone());
    builder.pipeline::<Parcel>().build().unwrap()
}

/// A run that failed at `ship`.
async fn failed(repository: impl Repository, clock: &ManualClock, world: &World) -> RunId {
    let orchestrator = orchestrator(repository, clock, world);
    let run = orchestrator.start::<Parcel>(ITEMS).await.unwrap();
    orchestrator.execute_pipelines().await.unwrap();
    assert_eq!(run.status().await.unwrap(), Status::Failed);
    run.id()
}

/// Restarts the run, and works until nothing is left to do.
async fn live(
    orchestrator: &Orchestrator,
    clock: &ManualClock,
    old: RunId,
    key: Key,
) -> Result<RunId, Error> {
    let restart = orchestrator.restart(old).from("ship");
    let restart = if key == Key::Given { restart.key("once more") } else { restart };
    let new = restart.await?.id();
    for _ in 0..100 {
        orchestrator.execute_pipelines().await?;
        let open = orchestrator.search(&Filter::active()).await?.runs;
        if open.is_empty() {
            return Ok(new);
        }
        clock.advance(LONGER_THAN_A_LEASE);
    }
    panic!("the run has not ended");
}

/// What a fault at a write left.
struct Swept {
    what: String,
    fault: Fault,
    writes: u64,
    happened: bool,
    /// The records of the new run when the worker died, if it did and there was one.
    at_death: Option<Option<StoredRun>>,
    before: Counts,
    /// What was done when the worker died, or in the end.
    then: Counts,
    after: Counts,
}

async fn sweep(store: &Arc<impl Repository>, fault: Fault, write: u64, key: Key) -> Swept {
    let (clock, world) = (ManualClock::default(), World::default());
    let old = failed(FaultyRepository::at(store.clone(), fault, u64::MAX), &clock, &world).await;
    let before = world.counts();
    let faulty = FaultyRepository::at(store.clone(), fault, write);
    let sound = orchestrator(FaultyRepository::at(store.clone(), fault, u64::MAX), &clock, &world);
    let what = format!("{fault:?} at write {write}, key: {key:?}");
    let (mut at_death, mut then) = (None, None);
    let new = loop {
        let worker = orchestrator(faulty.clone(), &clock, &world);
        match live(&worker, &clock, old, key).await {
            Ok(new) => break new,
            Err(error) => assert!(faulty.is_dead() && at_death.is_none(), "{what}: {error}"),
        }
        at_death = Some(one_new_run(&sound, old, &what).await);
        then = Some(world.counts());
        faulty.revive();
    };
    faulty.settle().await;
    let stored = one_new_run(&sound, old, &what).await.unwrap();
    assert_eq!((stored.run.id, stored.run.status()), (new, Status::Finished), "{what}");
    assert_eq!(sound.handle::<Parcel>(new).await.unwrap().wait().await.unwrap(), OUTPUT, "{what}");
    assert_eq!(stored.records.len(), 1 + ITEMS as usize + 3, "{what}");
    assert_eq!(sound.get(old).await.unwrap().unwrap().run.status(), Status::Failed, "{what}");
    let after = world.counts();
    let then = then.unwrap_or_else(|| after.clone());
    let happened = !faulty.happened().is_empty();
    Swept { what, fault, writes: faulty.writes(), happened, at_death, before, then, after }
}

/// The run that was restarted from `old`; never two.
async fn one_new_run(orchestrator: &Orchestrator, old: RunId, what: &str) -> Option<StoredRun> {
    let found = orchestrator.search(&Filter::all().restarted_from(old)).await.unwrap().runs;
    assert!(found.len() <= 1, "{what}: {found:#?}");
    match found.first() {
        Some(run) => orchestrator.get(run.id).await.unwrap(),
        None => None,
    }
}

/// Each step from the one of the restart on was done once, and once more if the worker died before it was committed; those
/// before it were not done again. Says whether the worker's death was worth a call.
fn check(swept: &Swept) -> bool {
    let Swept { what, at_death, before, then, after, .. } = swept;
    for step in ["items", "weigh", "pack"] {
        assert_eq!(after[step], before[step], "{what}: `{step}` was done again");
    }
    let of = |counts: &Counts, step: &str| counts.get(step).copied().unwrap_or_default();
    let mut again = false;
    for step in ["ship", "bill"] {
        let is_done = at_death.as_ref().is_none_or(|stored| has_finished(stored.as_ref(), step));
        let expected = of(then, step) + u32::from(!is_done);
        assert_eq!(of(after, step), expected, "{what}: `{step}`");
        again |= of(after, step) - of(before, step) > 1;
    }
    assert_eq!(at_death.is_some(), swept.fault.kills() && swept.happened, "{what}");
    again
}

fn has_finished(stored: Option<&StoredRun>, step: &str) -> bool {
    let mut records = stored.into_iter().flat_map(|stored| stored.records.values());
    records.any(|record| record.name == step && record.status == Status::Finished)
}

/// The save, a claim, and two answers.
const WRITES: u64 = 4;

async fn sweep_all<R: Repository>(open: impl AsyncFn() -> R, key: Key) {
    let mut again = 0;
    for fault in Fault::AT_A_WRITE.into_iter().filter(|fault| key == Key::Given || !fault.kills()) {
        let mut happened = 0;
        for write in 0.. {
            let swept = sweep(&Arc::new(open().await), fault, write, key).await;
            again += u32::from(check(&swept));
            happened += u64::from(swept.happened);
            if swept.writes <= write {
                break;
            }
        }
        let at_least = if fault == Fault::DiesBetween { 0 } else { WRITES };
        assert!(happened >= at_least, "{fault:?} happened {happened} times");
    }
    assert_eq!(again > 0, key == Key::Given, "a call whose answer was lost is made again");
}

#[tokio::test]
async fn a_restart_under_a_key_is_one_run_under_every_crash() {
    sweep_all(async || MemoryRepository::new(), Key::Given).await;
}

#[tokio::test]
async fn a_restart_without_a_key_is_one_run_whatever_becomes_of_its_answer() {
    sweep_all(async || MemoryRepository::new(), Key::None).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_restart_is_one_run_on_sqlite() {
    let open = async || SqliteRepository::open_in_memory().unwrap();
    sweep_all(open, Key::Given).await;
    sweep_all(open, Key::None).await;
}
