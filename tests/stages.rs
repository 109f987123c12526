//! Stages of several members, lists, and runs of other pipelines, through a whole engine: what goes on from stage to stage,
//! what ends a run, and what is not done a second time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prorch::prelude::*;
use prorch::repository::{CauseKind, Filter, MemoryRepository, Parent, Position, Run, Text};
use prorch::{Error, OrchestratorBuilder, RunHandle, Status, testing};
use tokio::sync::{Barrier, watch};

/// What the steps have done, and what they are told to do.
#[derive(Clone, Default)]
struct World(Arc<Mutex<Done>>);

#[derive(Default)]
struct Done {
    calls: BTreeMap<u64, u32>,
    under_way: u32,
    most: u32,
    /// Numbers that can't be worked on for now.
    bad: Vec<u64>,
}

impl World {
    fn with<T>(&self, work: impl FnOnce(&mut Done) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn calls(&self) -> BTreeMap<u64, u32> {
        self.with(|done| done.calls.clone())
    }

    fn bad(&self, numbers: &[u64]) {
        self.with(|done| done.bad = numbers.to_vec());
    }
}

/// Does the test on each kind of repository.
async fn everywhere(test: impl AsyncFn(OrchestratorBuilder)) {
    test(Orchestrator::builder(MemoryRepository::new())).await;
    test(Orchestrator::builder(SqliteRepository::open_in_memory().unwrap())).await;
}

/// Makes passes until the run has ended.
async fn drive<P: Pipeline>(orchestrator: &Orchestrator, run: &RunHandle<P>) -> Result<P::Output, Error> {
    for _ in 0..100 {
        orchestrator.execute_pipelines().await.unwrap();
        if run.status().await.unwrap().is_terminal() {
            return run.wait().await;
        }
    }
    panic!("run {} has not ended: {:?}", run.id(), orchestrator.get(run.id()).await);
}

/// The runs that are stored of this pipeline, in the order in which they were started.
async fn runs_of<P: Pipeline>(orchestrator: &Orchestrator) -> Vec<Run> {
    let filter = Filter { pipeline: Some(Text::from(P::NAME)), ..Filter::default() };
    orchestrator.search(&filter).await.unwrap().runs
}

#[step]
async fn up_to(number: u64) -> StepResult<Vec<u64>> {
    finish((0..number).collect())
}

/// Goes on only when the other one has come here too.
#[step(timeout = "10s")]
async fn left(number: u64, both: &Barrier) -> StepResult<u64> {
    both.wait().await;
    finish(number + 1)
}

#[step(timeout = "10s")]
async fn right(number: u64, both: &Barrier) -> StepResult<String> {
    both.wait().await;
    finish(format!("<{number}>"))
}

#[step]
async fn join((number, text): (u64, String)) -> StepResult<String> {
    finish(format!("{number}{text}"))
}

#[pipeline(steps = [[left, right], join])]
struct Joined;

#[pipeline(steps = [[left, right]])]
struct Pair;

#[tokio::test]
async fn a_group_runs_side_by_side_and_hands_on_a_tuple() {
    everywhere(async |builder| {
        let builder = builder.pipeline::<Joined>().pipeline::<Pair>().resource(Barrier::new(2));
        let orchestrator = builder.build().unwrap();
        let joined = orchestrator.start::<Joined>(7).await.unwrap();
        assert_eq!(drive(&orchestrator, &joined).await.unwrap(), "8<7>");
        let pair = orchestrator.start::<Pair>(7).await.unwrap();
        assert_eq!(drive(&orchestrator, &pair).await.unwrap(), (8, "<7>".to_owned()), "also at the end");
    })
    .await;
}

/// Waits for its turn: the last item first.
#[step(timeout = "10s")]
async fn backwards(number: u64, next: &watch::Sender<u64>) -> StepResult<u64> {
    next.subscribe().wait_for(|next| *next == number).await?;
    next.send_modify(|next| *next = next.wrapping_sub(1));
    finish(number * 10)
}

#[pipeline(steps = [up_to, each(backwards, concurrency = 5)])]
struct Backwards;

#[tokio::test]
async fn a_list_is_handed_on_in_its_order_whatever_is_done_first() {
    everywhere(async |builder| {
        let builder = builder.pipeline::<Backwards>().resource(watch::Sender::new(4_u64));
        let orchestrator = builder.build().unwrap();
        let run = orchestrator.start::<Backwards>(5).await.unwrap();
        assert_eq!(drive(&orchestrator, &run).await.unwrap(), [0, 10, 20, 30, 40]);
    })
    .await;
}

/// Notes how many are called at a time, and fails for what is bad.
#[step(retry(max_attempts = 1))]
async fn work(number: u64, world: &World) -> StepResult<u64> {
    world.with(|done| {
        *done.calls.entry(number).or_default() += 1;
        done.under_way += 1;
        done.most = done.most.max(done.under_way);
    });
    tokio::time::sleep(Duration::from_millis(1)).await;
    let is_bad = world.with(|done| {
        done.under_way -= 1;
        done.bad.contains(&number)
    });
    if is_bad { Err(format!("{number} is bad").into()) } else { finish(number * 2) }
}

#[step]
async fn total(numbers: Vec<u64>) -> StepResult<u64> {
    finish(numbers.iter().sum())
}

#[pipeline(steps = [up_to, each(work, concurrency = 3), total])]
struct Batch;

#[tokio::test]
async fn a_long_list_is_worked_on_a_few_at_a_time_and_an_empty_one_goes_on() {
    everywhere(async |builder| {
        let world = World::default();
        let orchestrator = builder.pipeline::<Batch>().resource(world.clone()).build().unwrap();
        let run = orchestrator.start::<Batch>(40).await.unwrap();
        assert_eq!(drive(&orchestrator, &run).await.unwrap(), 40 * 39);
        assert_eq!(world.with(|done| done.most), 3, "as many as it says");
        assert_eq!(world.calls(), (0..40).map(|number| (number, 1)).collect());
        let empty = orchestrator.start::<Batch>(0).await.unwrap();
        assert_eq!(drive(&orchestrator, &empty).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_failed_item_is_named_and_a_retry_leaves_alone_what_has_finished() {
    everywhere(async |builder| {
        let world = World::default();
        world.bad(&[5]);
        let orchestrator = builder.pipeline::<Batch>().resource(world.clone()).build().unwrap();
        let run = orchestrator.start::<Batch>(9).await.unwrap();
        let Err(Error::Failed { cause, .. }) = drive(&orchestrator, &run).await else { panic!() };
        assert_eq!((cause.kind, cause.step), (CauseKind::Error, Some(Text::from("work[5]"))));
        assert!(cause.text.contains("5 is bad"), "{}", cause.text);
        let before = world.calls();
        assert!(!before.contains_key(&8), "no further item was begun: {before:?}");
        world.bad(&[]);
        orchestrator.retry(run.id()).await.unwrap();
        assert_eq!(drive(&orchestrator, &run).await.unwrap(), 9 * 8);
        let twice: Vec<u64> =
            world.calls().into_iter().filter(|(_, calls)| *calls > 1).map(|(number, _)| number).collect();
        assert_eq!(twice, [5], "{:?}", world.calls());
    })
    .await;
}

/// Says what it is called by.
#[step]
async fn keyed(_: u64, cx: &StepContext) -> StepResult<String> {
    finish(cx.idempotency_key().to_string())
}

#[pipeline(steps = [up_to, each(keyed)])]
struct Keyed;

#[tokio::test]
async fn each_item_of_a_list_has_an_idempotency_key_of_its_own() {
    everywhere(async |builder| {
        let orchestrator = builder.pipeline::<Keyed>().build().unwrap();
        let run = orchestrator.start::<Keyed>(3).await.unwrap();
        let keys = drive(&orchestrator, &run).await.unwrap();
        assert_eq!(keys, [0, 1, 2].map(|item| format!("{}:keyed[{item}]", run.id())));
    })
    .await;
}

#[pipeline(steps = [work])]
struct Child;

#[pipeline(steps = [run(Child), work])]
struct Parenting;

#[tokio::test]
async fn a_run_of_another_pipeline_is_a_run_of_its_own() {
    everywhere(async |builder| {
        let world = World::default();
        let orchestrator = builder.pipeline::<Parenting>().resource(world.clone()).build().unwrap();
        let run = orchestrator.start::<Parenting>(3).priority(2).await.unwrap();
        assert_eq!(drive(&orchestrator, &run).await.unwrap(), 12);
        let [child] = &runs_of::<Child>(&orchestrator).await[..] else { panic!("one child") };
        assert_eq!(child.parent, Some(Parent { run: run.id(), position: Position::default() }));
        assert_eq!((child.status(), child.priority), (Status::Finished, 2));
    })
    .await;
}

#[tokio::test]
async fn the_failure_of_a_child_comes_up_with_its_id_and_a_retry_starts_another() {
    everywhere(async |builder| {
        let world = World::default();
        world.bad(&[3]);
        let orchestrator = builder.pipeline::<Parenting>().resource(world.clone()).build().unwrap();
        let run = orchestrator.start::<Parenting>(3).await.unwrap();
        let Err(Error::Failed { cause, .. }) = drive(&orchestrator, &run).await else { panic!() };
        let [first] = &runs_of::<Child>(&orchestrator).await[..] else { panic!("one child") };
        assert_eq!((cause.kind, cause.step), (CauseKind::Child, Some(Text::from("Child"))));
        assert!(cause.text.contains(&first.id.to_string()), "{}", cause.text);
        assert!(cause.text.contains("3 is bad"), "{}", cause.text);
        world.bad(&[]);
        orchestrator.retry(run.id()).await.unwrap();
        assert_eq!(drive(&orchestrator, &run).await.unwrap(), 12);
        let children = runs_of::<Child>(&orchestrator).await;
        let statuses: Vec<Status> = children.iter().map(Run::status).collect();
        assert_eq!(statuses, [Status::Failed, Status::Finished], "the first one stays as it ended");
    })
    .await;
}

/// Waits until it is told.
#[step]
async fn wait(_: u64, cx: &StepContext) -> StepResult<u64> {
    match cx.signal::<u64>("go")? {
        Some(number) => finish(number),
        None => wait_for_signal("go", None),
    }
}

#[pipeline(steps = [wait])]
struct Waiting;

#[pipeline(steps = [up_to, each(run(Waiting)), total])]
struct Spread;

#[tokio::test]
async fn a_cancel_goes_down_to_every_child() {
    everywhere(async |builder| {
        let orchestrator = builder.pipeline::<Spread>().build().unwrap();
        let run = orchestrator.start::<Spread>(3).await.unwrap();
        for _ in 0..3 {
            orchestrator.execute_pipelines().await.unwrap();
        }
        assert_eq!(runs_of::<Waiting>(&orchestrator).await.len(), 3);
        orchestrator.cancel(run.id(), "not wanted").await.unwrap();
        assert!(matches!(drive(&orchestrator, &run).await, Err(Error::Cancelled { .. })));
        orchestrator.execute_pipelines().await.unwrap();
        for child in runs_of::<Waiting>(&orchestrator).await {
            assert_eq!(child.status(), Status::Cancelled);
            assert!(child.state.cause.unwrap().text.contains("not wanted"));
        }
    })
    .await;
}

#[tokio::test]
async fn a_cancel_goes_down_to_a_child_that_is_paused() {
    everywhere(async |builder| {
        let orchestrator = builder.pipeline::<Spread>().build().unwrap();
        let run = orchestrator.start::<Spread>(1).await.unwrap();
        for _ in 0..3 {
            orchestrator.execute_pipelines().await.unwrap();
        }
        let [child] = &runs_of::<Waiting>(&orchestrator).await[..] else { panic!("one child") };
        orchestrator.pause(child.id).await.unwrap();
        orchestrator.cancel(run.id(), "not wanted").await.unwrap();
        orchestrator.execute_pipelines().await.unwrap();
        let child = orchestrator.get(child.id).await.unwrap().unwrap();
        assert_eq!(child.run.status(), Status::Cancelled);
    })
    .await;
}

/// Can't be done.
#[step]
async fn impossible(_: u64) -> StepResult<u64> {
    fail("it can't be done")
}

#[pipeline(steps = [[impossible, run(Waiting)]])]
struct Doomed;

#[tokio::test]
async fn a_child_whose_start_comes_with_the_failure_of_its_stage_is_cancelled() {
    everywhere(async |builder| {
        let orchestrator = builder.pipeline::<Doomed>().build().unwrap();
        let run = orchestrator.start::<Doomed>(3).await.unwrap();
        assert!(matches!(drive(&orchestrator, &run).await, Err(Error::Failed { .. })));
        orchestrator.execute_pipelines().await.unwrap();
        for child in runs_of::<Waiting>(&orchestrator).await {
            assert_eq!(child.status(), Status::Cancelled);
        }
    })
    .await;
}

#[tokio::test]
async fn a_run_for_each_item_hands_on_what_they_end_with_in_order() {
    everywhere(async |builder| {
        let orchestrator = builder.pipeline::<Spread>().build().unwrap();
        let run = orchestrator.start::<Spread>(3).await.unwrap();
        for _ in 0..3 {
            orchestrator.execute_pipelines().await.unwrap();
        }
        let children = runs_of::<Waiting>(&orchestrator).await;
        for (child, number) in children.iter().zip([100_u64, 20, 3]).rev() {
            orchestrator.signal(child.id, "go", number).await.unwrap();
            orchestrator.execute_pipelines().await.unwrap();
        }
        assert_eq!(drive(&orchestrator, &run).await.unwrap(), 123);
    })
    .await;
}

#[pipeline(steps = [up_to, each(run(Child), concurrency = 2)])]
struct Many;

#[tokio::test]
async fn a_failed_child_of_many_names_its_item_and_only_it_is_started_again() {
    everywhere(async |builder| {
        let world = World::default();
        world.bad(&[2]);
        let orchestrator = builder.pipeline::<Many>().resource(world.clone()).build().unwrap();
        let run = orchestrator.start::<Many>(4).await.unwrap();
        let Err(Error::Failed { cause, .. }) = drive(&orchestrator, &run).await else { panic!() };
        assert_eq!((cause.kind, cause.step), (CauseKind::Child, Some(Text::from("Child[2]"))));
        world.bad(&[]);
        orchestrator.retry(run.id()).await.unwrap();
        assert_eq!(drive(&orchestrator, &run).await.unwrap(), [0, 2, 4, 6]);
        let calls = world.calls();
        assert_eq!((calls[&0], calls[&1], calls[&2]), (1, 1, 2), "{calls:?}");
    })
    .await;
}

/// What turns into a list of numbers, and is none.
#[derive(serde::Serialize, serde::Deserialize)]
struct Digits {
    of: u64,
}

impl From<Digits> for Vec<u64> {
    fn from(digits: Digits) -> Self {
        assert!(digits.of < 1_000, "too long");
        digits.of.to_string().bytes().map(|digit| u64::from(digit - b'0')).collect()
    }
}

#[step]
async fn digits(of: u64) -> StepResult<Digits> {
    finish(Digits { of })
}

#[pipeline(output = Vec<u64>, steps = [digits])]
struct Taken;

#[pipeline(steps = [run(Taken), each(work)])]
struct AfterTaken;

#[tokio::test]
async fn a_list_follows_a_run_that_ends_with_what_its_output_turns_into() {
    everywhere(async |builder| {
        let builder = builder.pipeline::<AfterTaken>().resource(World::default());
        let orchestrator = builder.build().unwrap();
        let run = orchestrator.start::<AfterTaken>(407).await.unwrap();
        assert_eq!(drive(&orchestrator, &run).await.unwrap(), [8, 0, 14]);
        let panics = orchestrator.start::<AfterTaken>(4_000).await.unwrap();
        for _ in 0..3 {
            orchestrator.execute_pipelines().await.unwrap();
        }
        let stored = orchestrator.get(panics.id()).await.unwrap().unwrap();
        let why = stored.run.state.stuck.unwrap();
        assert!(why.contains("can't be turned into a list: too long"), "the run is left, and named: {why}");
    })
    .await;
}

#[tokio::test]
async fn a_rehearsal_goes_through_every_form() {
    let world = World::default();
    let batch = testing::run::<Batch>(4).resource(world.clone()).execute().await.unwrap();
    assert_eq!(batch.output.unwrap(), 12);
    let parenting = testing::run::<Parenting>(3).resource(world.clone()).execute().await.unwrap();
    assert_eq!(parenting.output.unwrap(), 12);
    let many = testing::run::<Many>(3).resource(world).execute().await.unwrap();
    assert_eq!(many.output.unwrap(), [0, 2, 4]);
    let polls = testing::run::<Polling>(1).execute().await.unwrap();
    assert_eq!(
        (polls.output.unwrap(), polls.took),
        (1, Duration::from_secs(60)),
        "also the waits of a child"
    );
}

/// Done when it was asked twice.
#[step(poll = "1m")]
#[derive(Debug)]
struct Asked {
    before: bool,
}

impl Step for Asked {
    type Input = u64;
    type Output = u64;

    async fn on_continue(&mut self, number: &u64, _: &StepContext) -> StepResult<u64> {
        if std::mem::replace(&mut self.before, true) { finish(*number) } else { pending() }
    }
}

#[pipeline(steps = [Asked])]
struct Asking;

#[pipeline(steps = [run(Asking)])]
struct Polling;
