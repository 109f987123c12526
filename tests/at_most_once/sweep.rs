//! A worker is cut off at every write, and every answer of the store is lost, late or refused once: there are never two first
//! calls, and what is asked is asked where it must be and nowhere else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use prorch::prelude::*;
use prorch::repository::{CauseKind, MemoryRepository, Repository, Status, StepRecord, StoredRun};
use prorch_testkit::crash_sweep;
use prorch_testkit::faults::Fault;
use prorch_testkit::sweep::Swept;

/// How often something was called, and how often it was asked what became of it, by step and item.
type Counts = BTreeMap<String, (u32, u32)>;

#[derive(Clone, Debug, Default)]
struct World(Arc<Mutex<Counts>>);

impl World {
    fn with<T>(&self, work: impl FnOnce(&mut Counts) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn of<T>(&self, cx: &StepContext, work: impl FnOnce(&mut (u32, u32)) -> T) -> T {
        let key = cx.idempotency_key().to_string();
        let key = key.split_once(':').map_or_else(String::new, |(_, step)| step.to_owned());
        self.with(|counts| work(counts.entry(key).or_default()))
    }
}

/// Charged once, looked up by what there is, and looked at once more before it is done.
#[step(at_most_once, poll = "1s")]
struct Charge;

impl Step for Charge {
    type Input = u64;
    type Output = u64;

    async fn on_start(&mut self, _: &u64, cx: &StepContext) -> StepResult<u64> {
        cx.resource::<World>()?.of(cx, |(called, _)| *called += 1);
        pending()
    }

    async fn on_continue(&mut self, amount: &u64, _: &StepContext) -> StepResult<u64> {
        finish(*amount)
    }

    async fn on_uncertain(&mut self, _: &u64, cx: &StepContext) -> StepResult<u64> {
        let called = cx.resource::<World>()?.of(cx, |(called, asked)| {
            *asked += 1;
            *called
        });
        if called == 0 { start_again() } else { pending() }
    }
}

/// Sent once, and nobody can say whether it was.
#[step(at_most_once)]
async fn send(amount: u64, cx: &StepContext, world: &World) -> StepResult<u64> {
    world.of(cx, |(called, _)| *called += 1);
    finish(amount)
}

#[step]
async fn split((one, _): (u64, u64)) -> StepResult<Vec<u64>> {
    finish(vec![one; 3])
}

#[pipeline(steps = [Charge, [Charge, Charge], split, each(Charge, concurrency = 2)])]
struct Asked;

#[pipeline(steps = [send, send])]
struct Blind;

/// Whether the worker died when the call with this key was written down, and no answer was.
fn was_in_doubt(swept: &Swept, key: &str) -> bool {
    let at_death = swept.at_death.as_deref().unwrap_or_default();
    let records = at_death.iter().flat_map(|stored: &StoredRun| stored.records.values());
    let is_it = |record: &&StepRecord| {
        let item = format!("{}[{}]", record.name, record.position.item);
        record.name == *key || item == key
    };
    records.filter(is_it).any(|record| record.is_open() && record.is_in_doubt())
}

fn check_asked(swept: &Swept, counts: &Counts) -> bool {
    let what = format!("{:?} at write {}", swept.fault, swept.write);
    let keys = ["Charge", "Charge#2", "Charge#3", "Charge#4[0]", "Charge#4[1]", "Charge#4[2]"];
    let expected = keys.map(|key| (key.to_owned(), (1, u32::from(was_in_doubt(swept, key)))));
    assert_eq!(*counts, BTreeMap::from(expected), "{what}: {swept:#?}");
    assert_eq!(swept.stored[0].run.status(), Status::Finished, "{what}: {swept:#?}");
    counts.values().any(|(_, asked)| *asked > 0)
}

fn check_blind(swept: &Swept, counts: &Counts) -> bool {
    let what = format!("{:?} at write {}", swept.fault, swept.write);
    let lost = ["send", "send#2"].into_iter().find(|key| was_in_doubt(swept, key));
    let run = &swept.stored[0].run;
    let cause = run.state.cause.as_ref().map(|cause| (cause.kind, cause.step.as_deref()));
    let end = match lost {
        Some(step) => (Status::Failed, Some((CauseKind::InDoubt, Some(step)))),
        None => (Status::Finished, None),
    };
    assert_eq!((run.status(), cause), end, "{what}: {swept:#?}");
    assert!(counts.values().all(|(called, _)| *called <= 1), "{what}: {counts:?}");
    assert!(lost.is_some() || counts.len() == 2, "{what}: {counts:?}");
    lost.is_some()
}

async fn sweep<P: Pipeline<Input = u64>, R: Repository>(
    open: impl AsyncFn() -> R,
    check: fn(&Swept, &Counts) -> bool,
    steps: u32,
) {
    let world = World::default();
    let mut seen: BTreeMap<Fault, (u32, u32)> = BTreeMap::new();
    let setup = |builder: prorch::OrchestratorBuilder| builder.resource(world.clone());
    crash_sweep::<P, R>(open, vec![7], setup, |swept| {
        let in_doubt = check(swept, &world.with(std::mem::take));
        assert!(!in_doubt || swept.fault.kills(), "{:?} leaves nothing in doubt", swept.fault);
        let (happened, doubts) = seen.entry(swept.fault).or_default();
        *happened += u32::from(swept.happened);
        *doubts += u32::from(in_doubt);
    })
    .await;
    for fault in [Fault::DiesBefore, Fault::DiesAfter] {
        let (happened, doubts) = seen[&fault];
        assert!(
            happened > doubts && doubts >= steps,
            "{fault:?} happened {happened} times, {doubts} in doubt"
        );
    }
}

#[tokio::test]
async fn a_step_that_can_be_asked_is_called_once_on_the_memory_repository() {
    sweep::<Asked, _>(async || MemoryRepository::new(), check_asked, 4).await;
}

#[tokio::test]
async fn a_step_that_can_not_be_asked_is_called_once_at_most_on_the_memory_repository() {
    sweep::<Blind, _>(async || MemoryRepository::new(), check_blind, 2).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_step_that_can_be_asked_is_called_once_on_sqlite() {
    sweep::<Asked, _>(async || SqliteRepository::open_in_memory().unwrap(), check_asked, 4).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_step_that_can_not_be_asked_is_called_once_at_most_on_sqlite() {
    sweep::<Blind, _>(async || SqliteRepository::open_in_memory().unwrap(), check_blind, 2).await;
}
