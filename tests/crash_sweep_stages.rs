//! A worker is cut off at every write that it makes for a run that stands at several steps at once: in a group, in a list,
//! and while a run that it started is under way. What was committed is never done again, what was not is done again once,
//! and there is one child.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use prorch::Status;
use prorch::prelude::*;
use prorch::repository::{MemoryRepository, Position, Repository, StepRecord, StoredRun, Text};
use prorch_testkit::crash_sweep;
use prorch_testkit::faults::Fault;
use prorch_testkit::soak;
use prorch_testkit::sweep::Swept;

/// What can be done, and for what: a step's call with what it got.
type What = (&'static str, u64);

/// How often each was done.
type Counts = BTreeMap<What, u32>;

/// What reached the world outside.
#[derive(Clone, Debug, Default)]
struct World(Arc<Mutex<Effects>>);

#[derive(Clone, Debug, Default)]
struct Effects {
    now: Counts,
    /// What was done when the last worker began.
    before: Counts,
}

impl World {
    fn with<T>(&self, work: impl FnOnce(&mut Effects) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Does it once more, and says how often it was done.
    fn does(&self, what: &'static str, number: u64) -> u32 {
        self.with(|effects| {
            let count = effects.now.entry((what, number)).or_default();
            *count += 1;
            *count
        })
    }

    fn a_worker_begins(&self) {
        self.with(|effects| effects.before = effects.now.clone());
    }
}

/// What the run is started with.
const PARCEL: u64 = 7;

#[step]
async fn weigh(parcel: u64, world: &World) -> StepResult<u64> {
    world.does("weigh", parcel);
    finish(parcel * 100)
}

/// Begun in one call, done in the next.
#[step]
struct Label;

impl Step for Label {
    type Input = u64;
    type Output = u64;

    async fn on_start(&mut self, parcel: &u64, cx: &StepContext) -> StepResult<u64> {
        cx.resource::<World>()?.does("label", *parcel);
        pending()
    }

    async fn on_continue(&mut self, parcel: &u64, cx: &StepContext) -> StepResult<u64> {
        cx.resource::<World>()?.does("print", *parcel);
        finish(3)
    }
}

/// As many sheets as the label says.
#[step]
async fn sheets((weight, labels): (u64, u64)) -> StepResult<Vec<u64>> {
    finish((0..labels).map(|sheet| weight + sheet).collect())
}

/// Errs the first time for the sheet in the middle, and is retried.
#[step(retry(max_attempts = 3, backoff = "1s..1m"))]
async fn wrap(sheet: u64, world: &World) -> StepResult<u64> {
    if world.does("wrap", sheet) == 1 && sheet == 701 {
        return Err("the sheet is torn".into());
    }
    finish(sheet)
}

#[step]
async fn load(sheets: Vec<u64>, world: &World) -> StepResult<u64> {
    let sum = sheets.iter().sum();
    world.does("load", sum);
    finish(sum)
}

#[step]
async fn drive(sum: u64, world: &World) -> StepResult<u64> {
    world.does("drive", sum);
    finish(sum)
}

/// A run of its own.
#[pipeline(steps = [load, drive])]
struct Delivery;

#[step]
async fn bill(sum: u64, world: &World) -> StepResult<u64> {
    world.does("bill", sum);
    finish(sum + 1)
}

#[pipeline(steps = [[weigh, Label], sheets, each(wrap, concurrency = 2), run(Delivery), bill])]
struct Parcel;

/// The sum of the sheets' numbers.
const SUM: u64 = 700 + 701 + 702;

/// Each call, the pipeline and the place of its record, and how often it is made when nothing happens.
const CALLS: [(What, &str, Position, u32); 9] = [
    (("weigh", PARCEL), "Parcel", Position { stage: 0, item: 0 }, 1),
    (("label", PARCEL), "Parcel", Position { stage: 0, item: 1 }, 1),
    (("print", PARCEL), "Parcel", Position { stage: 0, item: 1 }, 1),
    (("wrap", 700), "Parcel", Position { stage: 2, item: 0 }, 1),
    (("wrap", 701), "Parcel", Position { stage: 2, item: 1 }, 2),
    (("wrap", 702), "Parcel", Position { stage: 2, item: 2 }, 1),
    (("load", SUM), "Delivery", Position { stage: 0, item: 0 }, 1),
    (("drive", SUM), "Delivery", Position { stage: 1, item: 0 }, 1),
    (("bill", SUM), "Parcel", Position { stage: 4, item: 0 }, 1),
];

fn record<'s>(stored: &'s [StoredRun], pipeline: &str, at: Position) -> Option<&'s StepRecord> {
    let of = stored.iter().find(|stored| stored.run.definition.pipeline == *pipeline);
    of.and_then(|stored| stored.records.get(&at))
}

/// How often each call must have been made: what was done before the worker died, and what was to do then.
fn expected(swept: &Swept, before: &Counts) -> Counts {
    let at_death = swept.at_death.as_deref().unwrap_or_default();
    let count = |(what, pipeline, at, calls): &(What, &str, Position, u32)| {
        let done = before.get(what).copied().unwrap_or_default();
        let status = record(at_death, pipeline, *at).map(|record| record.status);
        let is_done =
            status == Some(Status::Finished) || what.0 == "label" && status == Some(Status::Pending);
        // What erred once does not err again.
        let to_do = if done == 0 { *calls } else { 1 };
        (*what, done + if is_done { 0 } else { to_do })
    };
    CALLS.iter().map(count).collect()
}

/// Checks what came of a fault, and says whether a call was made again because of it.
fn check(swept: &Swept, world: &World) -> bool {
    let what = format!("{:?} at write {}", swept.fault, swept.write);
    let effects = world.with(std::mem::take);
    assert_eq!(effects.now, expected(swept, &effects.before), "{what}: {swept:#?}");
    let mut names: Vec<&str> = swept.stored.iter().map(|stored| &*stored.run.definition.pipeline).collect();
    names.sort_unstable();
    assert_eq!(names, ["Delivery", "Parcel"], "{what}: one run, and one that it started");
    for stored in &swept.stored {
        assert_eq!(stored.run.status(), Status::Finished, "{what}: {stored:#?}");
        let open = stored.records.values().find(|record| record.status != Status::Finished);
        assert_eq!(open, None, "{what}: the run is finished, and all its steps are");
    }
    let bill =
        record(&swept.stored, "Parcel", Position::of_stage(4)).and_then(|record| record.output.clone());
    assert_eq!(bill, Some(Text::from((SUM + 1).to_string())), "{what}");
    assert_eq!(swept.at_death.is_some(), swept.fault.kills() && swept.happened, "{what}");
    effects.now.values().sum::<u32>() > CALLS.iter().map(|(.., calls)| calls).sum()
}

/// Sweeps over a kind of repository, and says how often each fault happened and how often it made a call be made again.
async fn sweep<R: Repository>(open: impl AsyncFn() -> R) -> BTreeMap<Fault, (u32, u32)> {
    let world = World::default();
    let mut seen: BTreeMap<Fault, (u32, u32)> = BTreeMap::new();
    crash_sweep::<Parcel, R>(
        open,
        vec![PARCEL],
        |builder| {
            world.a_worker_begins();
            builder.resource(world.clone())
        },
        |swept| {
            let repeated = check(swept, &world);
            let (happened, again) = seen.entry(swept.fault).or_default();
            *happened += u32::from(swept.happened);
            *again += u32::from(repeated);
        },
    )
    .await;
    seen
}

/// The least number of writes: a save; the group and its two answers; the list and what it is split to, its entry and three
/// answers; the start of the child, its two answers, what its parent hears, and the last step.
const WRITES: u32 = 12;

fn assert_swept(seen: &BTreeMap<Fault, (u32, u32)>) {
    for (fault, (happened, again)) in seen {
        // Within a write nobody dies that has no middle.
        let at_least = if *fault == Fault::DiesBetween { 0 } else { WRITES };
        assert!(*happened >= at_least, "{fault:?} happened {happened} times");
        assert!(fault.kills() || *again == 0, "{fault:?} made {again} calls be made again");
    }
    assert!(seen[&Fault::DiesBefore].1 > 0, "answers were lost: {seen:?}");
}

#[tokio::test]
async fn every_crash_on_the_memory_repository() {
    assert_swept(&sweep(async || MemoryRepository::new()).await);
}

/// In memory, and in the long form in files.
#[cfg(feature = "sqlite")]
#[tokio::test]
async fn every_crash_on_sqlite() {
    use std::sync::atomic::{AtomicU32, Ordering};

    let directory = tempfile::tempdir().expect("a directory for the test");
    let files = AtomicU32::new(0);
    let open = async || {
        let path = || {
            let file = files.fetch_add(1, Ordering::SeqCst);
            directory.path().join(format!("{file}.db"))
        };
        let opened = match soak::pick(None, Some(path)) {
            None => SqliteRepository::open_in_memory(),
            Some(path) => SqliteRepository::open(path()),
        };
        opened.expect("opens")
    };
    assert_swept(&sweep(&open).await);
}
