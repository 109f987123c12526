//! Runs that are restarted from one of their steps: what had finished is handed on and not done again, and one restart is
//! one new run, whatever happens on the way.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prorch::prelude::*;
use prorch::repository::{Filter, MemoryRepository, Position, StoredRun};
use prorch::{Error, NoRestart, OrchestratorBuilder, RunId, Status};
use prorch_testkit::soak::{pick, say};

/// How often each step was called, and those that can't do their work for now.
type Steps = (BTreeMap<&'static str, usize>, Vec<&'static str>);

#[derive(Clone, Default)]
struct World(Arc<Mutex<Steps>>);

impl World {
    fn call(&self, step: &'static str) -> Result<(), StepError> {
        let mut world = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *world.0.entry(step).or_default() += 1;
        if world.1.contains(&step) { Err(StepError::fatal("not today")) } else { Ok(()) }
    }

    fn bad(&self, steps: &[&'static str]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1 = steps.to_vec();
    }

    /// What was called since this was asked last.
    fn take(&self) -> Vec<(&'static str, usize)> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).0).into_iter().collect()
    }
}

#[step]
async fn list(number: u64, world: &World) -> StepResult<Vec<u64>> {
    world.call("list")?;
    finish((0..number).collect())
}

#[step]
async fn double(number: u64, world: &World) -> StepResult<u64> {
    world.call("double")?;
    finish(number * 2)
}

#[step]
async fn sum(numbers: Vec<u64>, world: &World) -> StepResult<u64> {
    world.call("sum")?;
    finish(numbers.iter().sum())
}

#[step]
async fn left(number: u64, world: &World) -> StepResult<u64> {
    world.call("left")?;
    finish(number + 1)
}

#[step]
async fn right(number: u64, world: &World) -> StepResult<u64> {
    world.call("right")?;
    finish(number + 2)
}

#[step]
async fn join((left, right): (u64, u64), world: &World) -> StepResult<u64> {
    world.call("join")?;
    finish(left + right)
}

#[pipeline(steps = [join_one, join_two])]
struct Inner;

#[step]
async fn join_one(number: u64, world: &World) -> StepResult<u64> {
    world.call("join_one")?;
    finish(number)
}

#[step]
async fn join_two(number: u64, world: &World) -> StepResult<u64> {
    world.call("join_two")?;
    finish(number + 100)
}

#[step]
async fn last(number: u64, world: &World) -> StepResult<u64> {
    world.call("last")?;
    finish(number)
}

/// Every form of a stage. Started with 4 it ends with 12 + 12 + 3 + 100.
#[pipeline(steps = [list, each(double), sum, [left, right], join, run(Inner), last])]
struct Wide;

const OUTPUT: u64 = 127;

/// Does the test on each kind of repository.
async fn everywhere(test: impl AsyncFn(OrchestratorBuilder)) {
    test(Orchestrator::builder(MemoryRepository::new())).await;
    #[cfg(feature = "sqlite")]
    test(Orchestrator::builder(SqliteRepository::open_in_memory().unwrap())).await;
}

fn built(builder: OrchestratorBuilder, world: &World) -> Orchestrator {
    builder.pipeline::<Wide>().resource(world.clone()).build().unwrap()
}

/// Makes passes until the run has ended.
async fn drive(orchestrator: &Orchestrator, id: RunId) -> Result<u64, Error> {
    for _ in 0..100 {
        orchestrator.execute_pipelines().await.unwrap();
        let run = orchestrator.handle::<Wide>(id).await.unwrap();
        if run.status().await.unwrap().is_terminal() {
            return run.wait().await;
        }
    }
    panic!("run {id} has not ended: {:?}", orchestrator.get(id).await);
}

/// A run that came as far as to this step, and failed there.
async fn failed_at(orchestrator: &Orchestrator, world: &World, step: &'static str) -> RunId {
    world.bad(&[step]);
    let old = orchestrator.start::<Wide>(4).metadata("customer", "acme").priority(3).await.unwrap().id();
    assert!(matches!(drive(orchestrator, old).await, Err(Error::Failed { .. })));
    world.bad(&[]);
    world.take();
    old
}

async fn whole(orchestrator: &Orchestrator, id: RunId) -> StoredRun {
    orchestrator.get(id).await.unwrap().unwrap()
}

#[tokio::test]
async fn what_stands_before_the_step_is_handed_on_and_not_done_again() {
    let calls = [
        ("join", vec![("join", 1), ("join_one", 1), ("join_two", 1), ("last", 1)]),
        ("left", vec![("join", 1), ("join_one", 1), ("join_two", 1), ("last", 1), ("left", 1), ("right", 1)]),
        ("Inner", vec![("join_one", 1), ("join_two", 1), ("last", 1)]),
        ("last", vec![("last", 1)]),
    ];
    everywhere(async |builder| {
        let world = World::default();
        let orchestrator = built(builder, &world);
        let old = failed_at(&orchestrator, &world, "last").await;
        let before = whole(&orchestrator, old).await;
        for (step, expected) in &calls {
            let new = orchestrator.restart(old).from(*step).await.unwrap();
            assert!(new.is_new() && new.id() != old);
            assert_eq!(drive(&orchestrator, new.id()).await.unwrap(), OUTPUT, "from {step}");
            assert_eq!(world.take(), *expected, "from {step}");
            let stored = whole(&orchestrator, new.id()).await;
            let open = stored.records.values().find(|record| record.status != Status::Finished);
            assert_eq!((stored.records.len(), open), (before.records.len(), None), "from {step}");
        }
        assert_eq!(whole(&orchestrator, old).await, before, "the old run stays as it was");
    })
    .await;
}

#[tokio::test]
async fn a_list_is_gone_through_from_its_first_item() {
    everywhere(async |builder| {
        let world = World::default();
        let orchestrator = built(builder, &world);
        let old = failed_at(&orchestrator, &world, "sum").await;
        let new = orchestrator.restart(old).from("double").await.unwrap().id();
        assert_eq!(drive(&orchestrator, new).await.unwrap(), OUTPUT);
        assert_eq!(world.take()[..2], [("double", 4), ("join", 1)]);
        let new = orchestrator.restart(old).await.unwrap().id();
        assert_eq!(drive(&orchestrator, new).await.unwrap(), OUTPUT, "from the first step");
        assert!(world.take().contains(&("list", 1)));
    })
    .await;
}

#[tokio::test]
async fn the_new_run_says_where_it_comes_from_and_takes_over_what_was_pinned() {
    everywhere(async |builder| {
        let world = World::default();
        let orchestrator = built(builder, &world);
        let old = failed_at(&orchestrator, &world, "join").await;
        let restart = orchestrator.restart(old).from("join").metadata("why", "the disk was full");
        let new = restart.delay(Duration::from_secs(3_600)).await.unwrap().id();
        let stored = whole(&orchestrator, new).await;
        let origin = stored.run.origin.as_ref().unwrap();
        assert_eq!((origin.run, origin.step.as_str()), (old, "join"));
        assert_eq!((stored.run.priority, stored.run.status()), (3, Status::Created));
        assert_eq!(stored.run.state.metadata["customer"], "acme");
        assert_eq!(stored.run.state.metadata["why"], "the disk was full");
        assert!(
            stored.run.due_at.unwrap().saturating_since(stored.run.created_at) >= Duration::from_secs(3_600)
        );
        let found = orchestrator.search(&Filter::all().restarted_from(old)).await.unwrap().runs;
        assert_eq!(found, [stored.run], "the old one is not among them");
        let urgent = orchestrator.restart(old).from("join").priority(0).await.unwrap().id();
        assert_eq!(whole(&orchestrator, urgent).await.run.priority, 0);
    })
    .await;
}

#[tokio::test]
async fn one_key_is_one_run() {
    everywhere(async |builder| {
        let world = World::default();
        let orchestrator = built(builder, &world);
        let old = failed_at(&orchestrator, &world, "last").await;
        let first = orchestrator.restart(old).from("last").key("again").await.unwrap();
        let second = orchestrator.restart(old).from("join").key("again").await.unwrap();
        assert_eq!((first.is_new(), second.is_new(), second.id()), (true, false, first.id()));
        assert_eq!(orchestrator.search(&Filter::all().restarted_from(old)).await.unwrap().runs.len(), 1);
        assert_eq!(drive(&orchestrator, first.id()).await.unwrap(), OUTPUT);
        assert_eq!(world.take(), [("last", 1)]);
    })
    .await;
}

#[tokio::test]
async fn one_that_was_restarted_is_restarted_again_also_when_it_was_cancelled_or_has_finished() {
    everywhere(async |builder| {
        let world = World::default();
        let orchestrator = built(builder, &world);
        let old = failed_at(&orchestrator, &world, "last").await;
        let second = orchestrator.restart(old).from("join").await.unwrap().id();
        orchestrator.cancel(second, "not now").await.unwrap();
        let third = orchestrator.restart(second).from("join").await.unwrap().id();
        assert_eq!(drive(&orchestrator, third).await.unwrap(), OUTPUT);
        world.take();
        let fourth = orchestrator.restart(third).from("last").await.unwrap().id();
        assert_eq!(drive(&orchestrator, fourth).await.unwrap(), OUTPUT);
        assert_eq!(world.take(), [("last", 1)]);
        assert_eq!(whole(&orchestrator, fourth).await.run.origin.unwrap().run, third);
    })
    .await;
}

#[tokio::test]
async fn what_is_refused_is_told_with_what_to_do_and_starts_nothing() {
    everywhere(async |builder| {
        let world = World::default();
        let orchestrator = built(builder, &world);
        let old = failed_at(&orchestrator, &world, "join").await;
        let told = async |error: Error| {
            assert_eq!(orchestrator.search(&Filter::all().restarted_from(old)).await.unwrap().runs, []);
            error.to_string()
        };
        let error = orchestrator.restart(old).from("last").await.unwrap_err();
        assert!(matches!(&error, Error::NotRestarted { why: NoRestart::NotFinished { .. }, .. }));
        let text = told(error).await;
        assert!(text.contains("step `join`, which stands before `last`, has not finished"), "{text}");
        let text = told(orchestrator.restart(old).from("Last").await.unwrap_err()).await;
        assert!(text.contains("has no step `Last`, only `list`, `double`"), "{text}");
        orchestrator.retry(old).await.unwrap();
        let text = told(orchestrator.restart(old).from("join").await.unwrap_err()).await;
        assert!(text.contains("it is pending and may still go on"), "{text}");
        let nobody = RunId::from_bytes([7; 16]);
        assert!(matches!(orchestrator.restart(nobody).await, Err(Error::NotFound(_))));
    })
    .await;
}

#[tokio::test]
async fn a_pipeline_that_is_unknown_here_is_named() {
    let repository = MemoryRepository::new();
    let world = World::default();
    let old = failed_at(&built(Orchestrator::builder(repository.clone()), &world), &world, "join").await;
    let other = Orchestrator::builder(repository).pipeline::<Inner>().resource(world).build().unwrap();
    let error = other.restart(old).from("join").await.unwrap_err();
    assert!(matches!(&error, Error::NotRestarted { why: NoRestart::Unknown(name), .. } if *name == "Wide"));
    assert!(error.to_string().contains("`Wide`"), "{error}");
}

#[tokio::test]
async fn ten_thousand_finished_items_are_taken_over() {
    const ITEMS: u64 = 10_000;
    everywhere(async |builder| {
        let world = World::default();
        let config = OrchestratorConfig::default().lease(Duration::from_secs(300));
        let orchestrator = built(builder.config(config), &world);
        world.bad(&["sum"]);
        let items = pick(2_000, ITEMS);
        let old = orchestrator.start::<Wide>(items).await.unwrap().id();
        assert!(matches!(drive(&orchestrator, old).await, Err(Error::Failed { .. })));
        world.bad(&[]);
        assert_eq!(world.take(), [("double", items as usize), ("list", 1), ("sum", 1)]);
        let began = Instant::now();
        let new = orchestrator.restart(old).from("sum").await.unwrap().id();
        say(&format!("a restart that takes over {items} finished items: {:?}", began.elapsed()));
        let sum = items * (items - 1);
        assert_eq!(drive(&orchestrator, new).await.unwrap(), 2 * sum + 103);
        assert!(!world.take().iter().any(|(step, _)| ["list", "double"].contains(step)));
        let output = whole(&orchestrator, new).await.records[&Position { stage: 1, item: 7 }].output.clone();
        assert_eq!(output.unwrap(), "14");
    })
    .await;
}
