//! What an operator sees of a run that is undone, and what can be said to it.

use std::time::Duration;

use prorch::prelude::*;
use prorch::repository::{CauseKind, MemoryRepository, Part, Position, Repository, StoredRun, UndoPhase};
use prorch::testing::{ManualClock, call};
use prorch::{BatchContext, Error, NoRestart, RunId, Status, Told, Waiting};

use crate::world::{World, undone};

/// Undone in three calls, which its deadline says nothing to: its fields say how often it was asked.
#[step(poll = "10s", deadline = "5s")]
struct Reserve {
    asked: u32,
}

impl Step for Reserve {
    type Input = u32;
    type Output = u32;

    async fn on_start(&mut self, seats: &u32, cx: &StepContext) -> StepResult<u32> {
        cx.resource::<World>()?.does(cx);
        self.asked = 10;
        finish(*seats)
    }

    async fn compensate(&mut self, _: &u32, _: Option<&u32>, cx: &StepContext) -> StepResult<()> {
        cx.resource::<World>()?.does(cx);
        self.asked += 1;
        if self.asked < 13 { pending() } else { finish(()) }
    }
}

/// Waits for what never comes.
#[step]
struct Wait;

impl Step for Wait {
    type Input = u32;
    type Output = u32;

    async fn on_start(&mut self, _: &u32, _: &StepContext) -> StepResult<u32> {
        wait_for_signal("never", None)
    }
}

#[pipeline(steps = [Reserve, Wait], on_cancel = compensate)]
struct Evening;

struct Bench<R> {
    orchestrator: Orchestrator,
    repository: R,
    clock: ManualClock,
    world: World,
}

impl<R: Repository + Clone> Bench<R> {
    fn new<P: Pipeline>(repository: R) -> Self {
        let (clock, world) = (ManualClock::default(), World::default());
        let builder = Orchestrator::builder(repository.clone()).clock(clock.clone()).resource(world.clone());
        Self { orchestrator: builder.pipeline::<P>().build().unwrap(), repository, clock, world }
    }

    async fn start<P: Pipeline<Input = u32>>(&self) -> RunId {
        let run = self.orchestrator.start::<P>(4).await.unwrap();
        self.pass().await;
        run.id()
    }

    async fn pass(&self) {
        self.orchestrator.execute_pipelines().await.unwrap();
    }

    async fn pass_after(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
        self.pass().await;
    }

    async fn stored(&self, id: RunId) -> StoredRun {
        let all = Part::Records { from: Position::default(), limit: 100 };
        self.repository.get(id, all).await.unwrap().unwrap()
    }

    async fn phase(&self, id: RunId) -> (Status, Option<UndoPhase>) {
        let state = self.stored(id).await.run.state;
        (state.status, state.undo_phase())
    }

    fn times(&self, key: &str) -> u32 {
        self.world.with(|effects| effects.now.get(key).copied().unwrap_or_default())
    }
}

async fn an_undoing_takes_its_time<R: Repository + Clone>(repository: R) {
    let bench = Bench::new::<Evening>(repository);
    let id = bench.start::<Evening>().await;
    assert_eq!(bench.orchestrator.cancel(id, "it rains").await.unwrap(), Told::Done);
    assert_eq!(bench.phase(id).await, (Status::Pending, Some(UndoPhase::Undoing)));
    bench.pass().await;
    let stored = bench.stored(id).await;
    let reserve = &stored.records[&Position::default()];
    let undo = reserve.undo.as_ref().unwrap();
    assert_eq!((undo.status, undo.state.as_deref()), (Status::Pending, Some("{\"asked\":11}")));
    assert_eq!(reserve.state.as_deref(), Some("{\"asked\":10}"), "what the step left stays");

    let again = bench.orchestrator.cancel(id, "it pours").await.unwrap_err();
    assert!(matches!(&again, Error::Refused { .. }), "{again}");
    assert!(again.to_string().contains("being undone"), "{again}");

    bench.orchestrator.pause(id).await.unwrap();
    bench.pass_after(20).await;
    assert_eq!(bench.times("Reserve/undo"), 1, "paused");
    bench.orchestrator.resume(id).await.unwrap();
    bench.pass().await;
    bench.pass_after(10).await;
    assert_eq!((bench.times("Reserve/undo"), bench.times("Reserve")), (3, 1));
    assert_eq!(bench.phase(id).await, (Status::Cancelled, Some(UndoPhase::Undone)));
    let cause = bench.stored(id).await.run.state.cause.unwrap();
    assert_eq!(cause.text, "it rains (what its steps had done is undone)");
}

#[tokio::test]
async fn an_undoing_that_is_pending_is_asked_again_and_a_pause_holds_it() {
    an_undoing_takes_its_time(MemoryRepository::new()).await;
    #[cfg(feature = "sqlite")]
    an_undoing_takes_its_time(SqliteRepository::open_in_memory().unwrap()).await;
}

/// Whoever doesn't know the pipeline doesn't know what is to be undone: that is left to a worker who does.
#[tokio::test]
async fn a_cancel_by_a_program_that_does_not_know_the_pipeline_is_left_to_one_that_does() {
    let bench = Bench::new::<Evening>(MemoryRepository::new());
    let id = bench.start::<Evening>().await;
    let other = Bench::new::<Outing>(bench.repository.clone());
    assert_eq!(other.orchestrator.cancel(id, "it rains").await.unwrap(), Told::Delivered);
    assert_eq!(bench.phase(id).await, (Status::Pending, None));
    for _ in 0..3 {
        bench.pass_after(10).await;
    }
    assert_eq!(bench.phase(id).await, (Status::Cancelled, Some(UndoPhase::Undone)));
    assert_eq!(bench.times("Reserve/undo"), 3);
}

/// It waits for the run that it started, which takes its time to undo itself.
#[step]
struct Supper;

impl Step for Supper {
    type Input = u32;
    type Output = u32;

    async fn on_start(&mut self, guests: &u32, _: &StepContext) -> StepResult<u32> {
        finish(*guests)
    }

    async fn compensate(&mut self, _: &u32, _: Option<&u32>, cx: &StepContext) -> StepResult<()> {
        cx.resource::<World>()?.does(cx);
        finish(())
    }
}

#[pipeline(steps = [Supper, [run(Evening, undo = nothing), Wait]], on_cancel = compensate)]
struct Night;

#[tokio::test]
async fn a_run_waits_for_the_end_of_those_that_it_started_before_it_is_undone() {
    let bench = Bench::new::<Night>(MemoryRepository::new());
    let id = bench.start::<Night>().await;
    bench.pass().await;
    bench.orchestrator.cancel(id, "it rains").await.unwrap();
    assert_eq!(bench.phase(id).await, (Status::Pending, Some(UndoPhase::Ending)));
    let child = bench.stored(id).await.records[&Position { stage: 1, item: 0 }].child.unwrap().run;
    for _ in 0..2 {
        bench.pass_after(10).await;
        assert_eq!(bench.phase(child).await, (Status::Pending, Some(UndoPhase::Undoing)));
        assert_eq!((bench.phase(id).await.1, bench.times("Supper/undo")), (Some(UndoPhase::Ending), 0));
    }
    bench.pass_after(10).await;
    bench.pass().await;
    assert_eq!(bench.phase(child).await, (Status::Cancelled, Some(UndoPhase::Undone)));
    assert_eq!(bench.phase(id).await, (Status::Cancelled, Some(UndoPhase::Undone)));
    assert_eq!(bench.times("Supper/undo"), 1);
    let effects = bench.world.with(|effects| effects.undone.clone());
    assert_eq!(effects, ["Reserve/undo", "Supper/undo"]);
}

#[pipeline(steps = [Supper])]
struct Dinner;

/// Is asked about many, and about nothing alone.
#[step]
struct TakeBack;

impl Step for TakeBack {
    type Input = (u32, Option<u32>);
    type Output = ();

    async fn on_continue_many(waiting: &mut [Waiting<'_, Self>], _: &BatchContext) -> Result<(), StepError> {
        waiting.iter_mut().for_each(|one| one.settle(finish(())));
        Ok(())
    }
}

#[pipeline(steps = [run(Dinner, undo = TakeBack), Wait], on_cancel = compensate)]
struct DinnerOut;

#[tokio::test]
async fn a_run_is_taken_back_by_a_step_that_is_only_asked_about_many() {
    let bench = Bench::new::<DinnerOut>(MemoryRepository::new());
    let id = bench.start::<DinnerOut>().await;
    bench.pass().await;
    bench.pass().await;
    bench.orchestrator.cancel(id, "it rains").await.unwrap();
    bench.pass().await;
    assert_eq!(bench.phase(id).await, (Status::Cancelled, Some(UndoPhase::Undone)));
}

/// Can't be undone before somebody has paid the fine.
#[step(retry(max_attempts = 1))]
struct Rent;

impl Step for Rent {
    type Input = u32;
    type Output = u32;

    async fn on_start(&mut self, days: &u32, cx: &StepContext) -> StepResult<u32> {
        cx.resource::<World>()?.does(cx);
        finish(*days)
    }

    async fn compensate(&mut self, _: &u32, _: Option<&u32>, cx: &StepContext) -> StepResult<()> {
        if cx.resource::<World>()?.does(cx) == 1 { Err("a fine is open".into()) } else { finish(()) }
    }
}

#[step]
async fn leave(_: u32) -> StepResult<u32> {
    fail("the engine is dead")
}

#[pipeline(steps = [Supper, Rent, leave], on_failure = compensate)]
struct Outing;

async fn an_undoing_that_failed_is_retried<R: Repository + Clone>(repository: R) {
    let bench = Bench::new::<Outing>(repository);
    let id = bench.start::<Outing>().await;
    assert_eq!(bench.phase(id).await, (Status::Failed, Some(UndoPhase::Stuck)));
    let stored = bench.stored(id).await;
    assert_eq!(undone(&stored), [None, Some(Status::Failed), None]);
    let cause = stored.run.state.cause.unwrap();
    assert_eq!((cause.kind, cause.step.as_deref()), (CauseKind::Undo, Some("Rent")));
    let text = "it can't be undone: a fine is open; not undone: `Rent`, `Supper`; it was undone because of: the engine is dead";
    assert_eq!(cause.text, text);

    bench.orchestrator.retry(id).await.unwrap();
    bench.pass().await;
    assert_eq!(bench.phase(id).await, (Status::Failed, Some(UndoPhase::Undone)));
    assert_eq!((bench.times("Rent/undo"), bench.times("Supper/undo"), bench.times("Rent")), (2, 1, 1));
    let refused = bench.orchestrator.retry(id).await.unwrap_err();
    assert!(refused.to_string().contains("restart it"), "{refused}");
    let refused = bench.orchestrator.restart(id).from("Rent").await.unwrap_err();
    assert!(matches!(refused, Error::NotRestarted { why: NoRestart::Undone(_), .. }), "{refused}");
    bench.orchestrator.restart(id).from("Supper").await.unwrap();
    bench.pass().await;
    assert_eq!(bench.times("Rent"), 2);
}

#[tokio::test]
async fn an_undoing_that_failed_goes_on_by_a_retry_and_what_is_undone_is_only_restarted() {
    an_undoing_that_failed_is_retried(MemoryRepository::new()).await;
    #[cfg(feature = "sqlite")]
    an_undoing_that_failed_is_retried(SqliteRepository::open_in_memory().unwrap()).await;
}

#[tokio::test]
async fn one_step_is_undone_alone_in_a_test() {
    let mut step = call::<Reserve>(4).state(Reserve { asked: 11 }).resource(World::default());
    assert_eq!(step.compensate(Some(&4)).await.unwrap(), Progress::Pending { after: None });
    assert_eq!(step.compensate(None).await.unwrap(), Progress::Finished(()));
    assert_eq!(
        call::<Wait>(4).compensate(None).await.unwrap(),
        Progress::Finished(()),
        "there is nothing to undo"
    );
}

mod changed {
    //! The same pipelines in another program.
    use super::*;

    #[pipeline(name = "Outing", steps = [Supper, leave], on_failure = compensate)]
    pub(super) struct WithoutRent;

    #[pipeline(name = "Outing", steps = [Supper, Rent, leave])]
    pub(super) struct NeverUndone;
}

/// A run goes on by the list that it was started with, also in whether it is undone.
#[tokio::test]
async fn a_program_that_never_undoes_the_pipeline_still_undoes_runs_that_were_to_be() {
    let bench = Bench::new::<Outing>(MemoryRepository::new());
    let id = bench.start::<Outing>().await;
    let new = Bench::new::<changed::NeverUndone>(bench.repository.clone());
    new.world.with(|effects| effects.now.insert("Rent/undo".to_owned(), 1));
    bench.orchestrator.retry(id).await.unwrap();
    new.clock.advance(bench.now().saturating_since(new.now()) + Duration::from_secs(10));
    new.pass().await;
    assert_eq!(bench.phase(id).await, (Status::Failed, Some(UndoPhase::Undone)));
    assert_eq!(new.times("Supper/undo"), 1);
}

#[tokio::test]
async fn a_run_is_left_and_named_where_the_code_of_what_is_to_be_undone_is_gone() {
    let bench = Bench::new::<Outing>(MemoryRepository::new());
    let id = bench.start::<Outing>().await;
    bench.orchestrator.retry(id).await.unwrap();
    let new = Bench::new::<changed::WithoutRent>(bench.repository.clone());
    new.clock.advance(bench.now().saturating_since(new.now()) + Duration::from_secs(10));
    let report = new.orchestrator.execute_pipelines().await.unwrap();
    let left: Vec<String> = report.left.iter().map(|left| left.why.to_string()).collect();
    assert!(left.len() == 1 && left[0].contains("`Rent`"), "{left:?}");
    assert_eq!(bench.phase(id).await, (Status::Pending, Some(UndoPhase::Undoing)));
    bench.pass_after(70).await;
    assert_eq!(bench.phase(id).await, (Status::Failed, Some(UndoPhase::Undone)), "its own program goes on");
}

impl<R> Bench<R> {
    fn now(&self) -> prorch::repository::Timestamp {
        use prorch::testing::Clock;
        self.clock.now()
    }
}
