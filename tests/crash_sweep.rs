//! A worker is cut off at every write that it makes, before, within and after it took effect; writes are refused, their
//! answers lost, and some arrive when others were made: what was committed is never done again, what was not is done
//! again once, and each run gets to the same end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use prorch::Status;
use prorch::prelude::*;
use prorch::repository::{MemoryRepository, Repository, StoredRun, Text};
use prorch_testkit::crash_sweep;
use prorch_testkit::faults::Fault;
use prorch_testkit::sweep::Swept;

/// How often each call was made for one order.
type Counts = [u32; 5];

const CHARGE: usize = 0;
const PACK: usize = 1;
const SHIP: usize = 2;
const REPORT_START: usize = 3;
const REPORT_CONTINUE: usize = 4;

/// What reached the world outside, by the order's cents.
#[derive(Clone, Debug, Default)]
struct World(Arc<Mutex<Effects>>);

#[derive(Clone, Debug, Default)]
struct Effects {
    now: BTreeMap<u64, Counts>,
    /// What was done when the last worker began.
    before: BTreeMap<u64, Counts>,
}

impl World {
    fn with<T>(&self, work: impl FnOnce(&mut Effects) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Does it once more for the call's order, and says how often it was done.
    fn does(&self, what: usize, cx: &StepContext) -> Result<u32, StepError> {
        let order = cx.run_input::<u64>()?;
        Ok(self.with(|effects| {
            let counts = effects.now.entry(order).or_default();
            counts[what] += 1;
            counts[what]
        }))
    }

    fn a_worker_begins(&self) {
        self.with(|effects| effects.before = effects.now.clone());
    }

    /// What was done before the last worker and in all; it begins anew with that.
    fn take(&self) -> Effects {
        self.with(std::mem::take)
    }
}

/// Done in one call.
#[step]
async fn charge(cents: u64, world: &World, cx: &StepContext) -> StepResult<u64> {
    world.does(CHARGE, cx)?;
    finish(cents + 1)
}

/// As well: then two commits follow each other under one claim.
#[step]
async fn pack(cents: u64, world: &World, cx: &StepContext) -> StepResult<u64> {
    world.does(PACK, cx)?;
    finish(cents + 1)
}

/// Errs the first time that it is called, and is retried.
#[step(retry(max_attempts = 3, backoff = "1s..1m"))]
async fn ship(cents: u64, world: &World, cx: &StepContext) -> StepResult<u64> {
    if world.does(SHIP, cx)? == 1 {
        return Err("the lorry did not come".into());
    }
    finish(cents + 10)
}

/// Begun in one call, done in the next.
#[step]
struct Report {
    lines: u32,
}

impl Step for Report {
    type Input = u64;
    type Output = String;

    async fn on_start(&mut self, _: &u64, cx: &StepContext) -> StepResult<String> {
        cx.resource::<World>()?.does(REPORT_START, cx)?;
        self.lines += 1;
        pending()
    }

    async fn on_continue(&mut self, cents: &u64, cx: &StepContext) -> StepResult<String> {
        cx.resource::<World>()?.does(REPORT_CONTINUE, cx)?;
        self.lines += 1;
        finish(format!("{cents} in {} lines", self.lines))
    }
}

#[pipeline(steps = [charge, pack, ship, Report])]
struct Order;

fn order_of(stored: &StoredRun) -> u64 {
    stored.run.input.parse().expect("the input is a number")
}

/// The calls that a worker has to make for an order that is stored like this: those whose end was not committed.
fn to_do(stored: Option<&StoredRun>, done: Counts) -> Counts {
    let status = |name: &str| {
        let records = stored.into_iter().flat_map(|stored| stored.records.values());
        records.filter(|record| record.name == name).map(|record| record.status).next()
    };
    let open = |name| u32::from(status(name) != Some(Status::Finished));
    let ships = open("ship") * if done[SHIP] == 0 { 2 } else { 1 };
    let starts = u32::from(matches!(status("Report"), None | Some(Status::Created)));
    [open("charge"), open("pack"), ships, starts, open("Report")]
}

/// How often the calls of an order must have been made: those before the worker died, and those that were to do then.
fn expected(swept: &Swept, order: u64, done: Counts) -> Counts {
    let mut at_death = swept.at_death.iter().flatten();
    let stored = at_death.find(|stored| order_of(stored) == order);
    let to_do = to_do(stored, done);
    std::array::from_fn(|call| done[call] + to_do[call])
}

/// Checks what came of a fault, and says whether a call was made again because of it.
fn check(swept: &Swept, world: &World, orders: &[u64]) -> bool {
    let what = format!("{:?} at write {}", swept.fault, swept.write);
    let effects = world.take();
    let of = |all: &BTreeMap<u64, Counts>, order| all.get(&order).copied().unwrap_or_default();
    for order in orders {
        let done = of(&effects.before, *order);
        assert_eq!(of(&effects.now, *order), expected(swept, *order, done), "{what}: {swept:#?}");
    }
    let by_order: BTreeMap<u64, _> = swept.stored.iter().map(|stored| (order_of(stored), stored)).collect();
    assert_eq!(swept.stored.len(), by_order.len(), "{what}: an order was started twice");
    assert_eq!(by_order.len(), orders.len(), "{what}: an order is lost");
    for (order, stored) in by_order {
        assert_eq!(stored.run.status(), Status::Finished, "{what}: {stored:#?}");
        let output = Text::from(format!("\"{} in 2 lines\"", order + 12));
        assert_eq!(stored.run.state.output, Some(output), "{what}");
        assert_eq!(stored.records.len(), 4, "{what}");
        let open = stored.records.values().find(|record| record.status != Status::Finished);
        assert_eq!(open, None, "{what}: the run is finished, and all its steps are");
    }
    assert_eq!(swept.at_death.is_some(), swept.fault.kills() && swept.happened, "{what}");
    effects.now.values().flatten().sum::<u32>() > 6 * orders.len() as u32
}

/// Sweeps over a kind of repository, and says how often each fault happened and how often it made a call be made again.
async fn sweep<R: Repository>(open: impl AsyncFn() -> R, orders: &[u64]) -> BTreeMap<Fault, (u32, u32)> {
    let world = World::default();
    let mut seen: BTreeMap<Fault, (u32, u32)> = BTreeMap::new();
    crash_sweep::<Order, R>(
        open,
        orders.to_vec(),
        |builder| {
            world.a_worker_begins();
            builder.resource(world.clone()).config(OrchestratorConfig::default().concurrency(2))
        },
        |swept| {
            let repeated = check(swept, &world, orders);
            let (happened, again) = seen.entry(swept.fault).or_default();
            *happened += u32::from(swept.happened);
            *again += u32::from(repeated);
        },
    )
    .await;
    seen
}

fn assert_swept(seen: &BTreeMap<Fault, (u32, u32)>, writes: u32) {
    for (fault, (happened, again)) in seen {
        // Within a write nobody dies that has no middle.
        let at_least = if *fault == Fault::DiesBetween { 0 } else { writes };
        assert!(*happened >= at_least, "{fault:?} happened {happened} times");
        assert!(fault.kills() || *again == 0, "{fault:?} made {again} calls be made again");
    }
    assert!(seen[&Fault::DiesBefore].1 > 0, "answers were lost: {seen:?}");
}

/// A save, two claims, and six answers.
const WRITES: u32 = 9;

#[tokio::test]
async fn every_crash_on_the_memory_repository() {
    let seen = sweep(async || MemoryRepository::new(), &[100]).await;
    assert_swept(&seen, WRITES);
    assert_eq!(
        seen[&Fault::DiesBefore].1,
        5,
        "each answer is lost once; that `ship` erred is not told in the counts"
    );
    assert_eq!(seen[&Fault::DiesAfter].1, 0, "what was committed is not done again");
}

#[tokio::test]
async fn every_crash_among_several_runs() {
    let seen = sweep(async || MemoryRepository::new(), &[100, 200, 300, 400]).await;
    assert_swept(&seen, 2 * WRITES);
    assert!(seen[&Fault::DiesBetween].0 > 0, "between what is committed and what is claimed: {seen:?}");
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn every_crash_on_sqlite() {
    use std::sync::atomic::{AtomicU32, Ordering};

    let directory = tempfile::tempdir().expect("a directory for the test");
    let files = AtomicU32::new(0);
    let open = async || {
        let file = files.fetch_add(1, Ordering::SeqCst);
        SqliteRepository::open(directory.path().join(format!("{file}.db"))).expect("opens")
    };
    assert_swept(&sweep(&open, &[100]).await, WRITES);
}
