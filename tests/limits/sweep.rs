//! A worker is cut off at every write that it makes for runs that are limited in all ways. No limit is ever exceeded, nothing
//! waits for good, and what was committed is not done again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prorch::prelude::*;
use prorch::repository::{MemoryRepository, Repository, Status, StoredRun};
use prorch_testkit::crash_sweep;
use prorch_testkit::soak::pick;
use prorch_testkit::sweep::Swept;

#[derive(Clone, Debug, Default)]
struct World(Arc<Mutex<BTreeMap<(&'static str, u64), u32>>>);

impl World {
    fn does(&self, what: &'static str, of: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry((what, of)).or_default() += 1;
    }

    fn take(&self) -> BTreeMap<(&'static str, u64), u32> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[step(poll = "1s")]
struct Dump {
    begun: bool,
}

impl Step for Dump {
    type Input = u64;
    type Output = u64;

    async fn on_start(&mut self, of: &u64, cx: &StepContext) -> StepResult<u64> {
        cx.resource::<World>()?.does("dump", *of);
        self.begun = true;
        pending_for(Duration::from_secs(1))
    }

    async fn on_continue(&mut self, of: &u64, cx: &StepContext) -> StepResult<u64> {
        cx.resource::<World>()?.does("dumped", *of);
        finish(*of)
    }
}

#[step(rate = "10/s")]
async fn send(of: u64, world: &World) -> StepResult<u64> {
    world.does("send", of);
    if of == 3 {
        return fail("nobody lives there");
    }
    finish(of)
}

#[pipeline(steps = [Dump, send], max_running = 2, max_calls = 1)]
struct Backup;

/// The third one fails.
fn runs() -> Vec<u64> {
    (1..=pick(3, 5)).collect()
}

/// How many of these runs have begun and not ended, and how many are held.
fn counts(stored: &[StoredRun]) -> (usize, usize) {
    let running = stored.iter().filter(|stored| stored.run.permits.running.is_some());
    (running.count(), stored.iter().filter(|stored| stored.run.lease.is_some()).count())
}

fn check(swept: &Swept, world: &World) {
    let what = format!("{:?} at write {}", swept.fault, swept.write);
    let (running, held) = counts(swept.at_death.as_deref().unwrap_or_default());
    assert!(running <= 2 && held <= 1, "{what}: {running} run, {held} are held");
    assert_eq!(counts(&swept.stored), (0, 0), "{what}");
    assert_eq!(swept.stored.len(), runs().len(), "{what}");
    for stored in &swept.stored {
        let expected = if &*stored.run.input == "3" { Status::Failed } else { Status::Finished };
        assert_eq!(stored.run.status(), expected, "{what}: {stored:#?}");
    }
    let done = world.take();
    let again: u32 = done.values().map(|count| count - 1).sum();
    assert!(again <= u32::from(swept.fault.kills()), "{what}: one call was under way: {done:?}");
    for of in runs() {
        for step in ["dump", "dumped", "send"] {
            assert!(done.contains_key(&(step, of)), "{what}: {step} {of}: {done:?}");
        }
    }
}

async fn sweep<R: Repository>(open: impl AsyncFn() -> R) {
    let world = World::default();
    let mut happened = 0;
    let setup = |builder: prorch::OrchestratorBuilder| builder.resource(world.clone());
    crash_sweep::<Backup, R>(open, runs(), setup, |swept| {
        check(swept, &world);
        happened += u32::from(swept.happened);
    })
    .await;
    assert!(happened > 40, "{happened}");
}

#[tokio::test]
async fn every_crash_on_the_memory_repository() {
    sweep(async || MemoryRepository::new()).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn every_crash_on_sqlite() {
    sweep(async || SqliteRepository::open_in_memory().expect("opens")).await;
}
