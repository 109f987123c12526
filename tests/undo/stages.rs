//! Groups, lists and runs of runs are undone, and the worker is cut off at every write.

use prorch::Status;
use prorch::prelude::*;
use prorch::repository::{MemoryRepository, Repository, UndoPhase};
use prorch_testkit::soak::pick;
use prorch_testkit::sweep::Swept;

use crate::world::{Counts, Effects, World, counts, of, sweep};

#[step(compensate = take_back_any)]
async fn pack(parcels: u64, world: &World, cx: &StepContext) -> StepResult<u64> {
    world.does(cx);
    finish(parcels)
}

#[step(compensate = take_back_any)]
async fn label(parcels: u64, world: &World, cx: &StepContext) -> StepResult<u64> {
    world.does(cx);
    finish(parcels)
}

#[step(compensate = take_back_any)]
async fn insure(_: u64, world: &World, cx: &StepContext) -> StepResult<u64> {
    world.does(cx);
    finish(1)
}

/// There is nothing to undo of it.
#[step]
async fn list((parcels, _): (u64, u64), world: &World, cx: &StepContext) -> StepResult<Vec<u64>> {
    world.does(cx);
    finish((0..parcels).map(|parcel| 100 + parcel).collect())
}

#[step(compensate = take_back_any)]
async fn hand_over(parcel: u64, world: &World, cx: &StepContext) -> StepResult<u64> {
    world.does(cx);
    finish(parcel)
}

async fn take_back_any(_: &u64, output: Option<&u64>, cx: &StepContext) -> StepResult<()> {
    cx.resource::<World>()?.does(cx);
    if output.is_some() { finish(()) } else { fail("all of these have finished") }
}

#[step(compensate = unload)]
async fn load(parcels: Vec<u64>, world: &World, cx: &StepContext) -> StepResult<u64> {
    world.does(cx);
    finish(parcels.iter().sum())
}

async fn unload(_: &Vec<u64>, _: Option<&u64>, cx: &StepContext) -> StepResult<()> {
    cx.resource::<World>()?.does(cx);
    finish(())
}

/// The lorry breaks down under two parcels.
#[step]
async fn drive(sum: u64, world: &World, cx: &StepContext) -> StepResult<u64> {
    world.does(cx);
    if sum == 201 { fail("it broke down") } else { finish(sum) }
}

#[pipeline(steps = [load, drive], on_failure = compensate)]
struct Delivery;

/// Takes back what a delivery has done.
#[step]
async fn fetch((parcels, sum): (Vec<u64>, Option<u64>), world: &World, cx: &StepContext) -> StepResult<()> {
    world.does(cx);
    let finished = (parcels.len() != 2).then(|| parcels.iter().sum());
    if sum == finished { finish(()) } else { fail(format!("{parcels:?} gives {sum:?}")) }
}

#[step]
async fn bill(_: u64, world: &World, cx: &StepContext) -> StepResult<u64> {
    world.does(cx);
    fail("nobody pays")
}

#[pipeline(
    steps = [pack, [label, insure], list, each(hand_over, concurrency = 2), run(Delivery, undo = fetch), bill],
    on_failure = compensate
)]
struct Shipment;

/// Everything once. With two parcels the delivery fails, and undoes itself.
fn calls(parcels: u64) -> Counts {
    let steps = ["pack", "label", "insure", "list", "load", "drive"].map(|step| (step, 1));
    let mut calls = counts(steps);
    calls.extend(counts(["pack/undo", "label/undo", "insure/undo", "Delivery/undo"].map(|key| (key, 1))));
    for item in 0..parcels {
        calls.insert(format!("hand_over[{item}]"), 1);
        calls.insert(format!("hand_over[{item}]/undo"), 1);
    }
    calls.insert(if parcels == 2 { "load/undo" } else { "bill" }.to_owned(), 1);
    calls
}

/// Which stage of the shipment a key is of, the delivery's own before it.
fn place(key: &str) -> usize {
    let order = ["load", "Delivery", "hand_over", "label", "insure", "pack"];
    let at = order.iter().position(|step| key.starts_with(step)).unwrap();
    if order[at] == "insure" { 3 } else { at }
}

fn check(swept: &Swept, effects: &Effects, parcels: u64) {
    assert!(effects.undone.iter().map(|key| place(key)).is_sorted(), "{:?}", effects.undone);
    let stored = of(&swept.stored, "Shipment");
    assert_eq!(
        (stored.run.status(), stored.run.state.undo_phase()),
        (Status::Failed, Some(UndoPhase::Undone))
    );
    let child = &of(&swept.stored, "Delivery").run;
    let (status, phase) =
        if parcels == 2 { (Status::Failed, Some(UndoPhase::Undone)) } else { (Status::Finished, None) };
    assert_eq!((child.status(), child.state.undo_phase()), (status, phase), "an end never changes");
}

async fn sweep_over<R: Repository>(open: impl AsyncFn() -> R, parcels: &[u64]) {
    for &parcels in parcels {
        let check = |swept: &Swept, effects: &Effects| check(swept, effects, parcels);
        let happened = sweep::<Shipment, R>(&open, parcels, &calls(parcels), check).await;
        assert!(happened >= 6 * 20, "{happened}");
    }
}

#[tokio::test]
async fn every_crash_on_the_memory_repository() {
    sweep_over(async || MemoryRepository::new(), pick(&[3], &[2, 3])).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn every_crash_on_sqlite() {
    sweep_over(async || SqliteRepository::open_in_memory().unwrap(), pick(&[2], &[2, 3])).await;
}
