//! A worker is cut off at every write that it makes, before and after it took effect: what was committed is never done
//! again, what was not is done again once, and the run gets to the same end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use prorch::Status;
use prorch::prelude::*;
use prorch::repository::{MemoryRepository, Repository, Text};
use prorch_testkit::crash_sweep;
use prorch_testkit::sweep::{Fault, Swept};

/// How often each call reached the world outside.
#[derive(Clone, Debug, Default)]
struct World(Arc<[AtomicU32; 4]>);

const CHARGE: usize = 0;
const SHIP: usize = 1;
const REPORT_START: usize = 2;
const REPORT_CONTINUE: usize = 3;

impl World {
    /// Does it once more, and says how often it was done.
    fn does(&self, what: usize) -> u32 {
        self.0[what].fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The counts, which begin anew with that.
    fn take(&self) -> [u32; 4] {
        std::array::from_fn(|what| self.0[what].swap(0, Ordering::SeqCst))
    }
}

/// Done in one call.
#[step]
async fn charge(cents: u64, world: &World) -> StepResult<u64> {
    world.does(CHARGE);
    finish(cents + 1)
}

/// Errs the first time that it is called, and is retried.
#[step(retry(max_attempts = 3, backoff = "1s..1m"))]
async fn ship(cents: u64, world: &World) -> StepResult<u64> {
    if world.does(SHIP) == 1 {
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
        cx.resource::<World>()?.does(REPORT_START);
        self.lines += 1;
        pending()
    }

    async fn on_continue(&mut self, cents: &u64, cx: &StepContext) -> StepResult<String> {
        cx.resource::<World>()?.does(REPORT_CONTINUE);
        self.lines += 1;
        finish(format!("{cents} in {} lines", self.lines))
    }
}

#[pipeline(steps = [charge, ship, Report])]
struct Order;

/// How often each call must have been made: as often as without a fault, and once more if its answer was lost.
fn expected(swept: &Swept) -> [u32; 4] {
    let mut counts = [1, 2, 1, 1];
    for write in swept.lost.iter().flat_map(|update| &update.records) {
        let record = write.record();
        match (record.name.as_str(), record.status, record.errors) {
            ("charge", Status::Finished, _) => counts[CHARGE] += 1,
            ("ship", Status::Finished, _) => counts[SHIP] += 1,
            ("Report", Status::Pending, _) => counts[REPORT_START] += 1,
            ("Report", Status::Finished, _) => counts[REPORT_CONTINUE] += 1,
            // What `ship` does after its first error does not depend on whether that was written; a step that the run
            // has only come to was not called.
            ("ship", Status::Created, _) | (_, Status::Created, 0) => {}
            other => panic!("no step of this pipeline writes {other:?}"),
        }
    }
    counts
}

fn check(swept: &Swept, world: &World) {
    let (fault, write) = (swept.fault, swept.write);
    assert_eq!(world.take(), expected(swept), "{fault:?} at write {write}; lost: {:#?}", swept.lost);
    let run = &swept.stored.run;
    assert_eq!(run.status(), Status::Finished, "{fault:?} at write {write}: {run:#?}");
    assert_eq!(run.state.output, Some(Text::from("\"111 in 2 lines\"")), "{fault:?} at write {write}");
    assert_eq!(swept.stored.records.len(), 3);
    assert!(swept.stored.records.values().all(|record| record.status == Status::Finished));
    assert_eq!(swept.runs, 1, "{fault:?} at write {write}: the order was started twice");
    let died = matches!(fault, Fault::DiesBefore | Fault::DiesBetween | Fault::DiesAfter);
    assert_eq!(swept.lives, 1 + u32::from(died && swept.happened), "{fault:?} at write {write}");
    assert!(swept.lost.is_empty() || fault == Fault::DiesBefore);
}

/// Sweeps over a kind of repository, and says how many faults happened and how many of them lost an answer.
async fn sweep<R: Repository>(open: impl AsyncFn() -> R) -> (u64, u32) {
    let world = World::default();
    let mut lost = 0;
    let happened = crash_sweep::<Order, R>(
        open,
        100,
        |builder| builder.resource(world.clone()),
        |swept| {
            check(swept, &world);
            lost += u32::from(!swept.lost.is_empty());
        },
    )
    .await;
    (happened, lost)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_crash_on_the_memory_repository() {
    let (happened, lost) = sweep(async || MemoryRepository::new()).await;
    // A save, two claims, and five answers: each is cut off before and after, refused, and its answer lost.
    assert!(happened >= 4 * 8, "{happened}");
    assert_eq!(lost, 5, "each of the five answers is lost once");
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_crash_on_sqlite() {
    let directory = tempfile::tempdir().expect("a directory for the test");
    let files = AtomicU32::new(0);
    let open = async || {
        let file = files.fetch_add(1, Ordering::SeqCst);
        SqliteRepository::open(directory.path().join(format!("{file}.db"))).expect("opens")
    };
    let (happened, lost) = sweep(open).await;
    assert!(happened >= 4 * 8, "{happened}");
    assert_eq!(lost, 5, "each of the five answers is lost once");
}
