//! What comes while a call for many is under way, for one of them: a lease that is lost, a cancel, a deadline, a stop, a
//! crash before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use prorch::prelude::*;
use prorch::repository::{
    Answer, CauseKind, Guard, Hold, Lease, MemoryRepository, Repository, Status, Update, WorkerId,
};
use prorch::{Error, PassReport, RunId};
use tokio::task::JoinHandle;

use crate::bench::{Bench, Call, Job, World, ask_all, job, on_both, roomy};

job!((poll = "10s") Render);
job!((poll = "10s", deadline = "1m") Urgent);

#[pipeline(steps = [Render])]
struct Film;

#[pipeline(steps = [Urgent])]
struct News;

/// A pass that is in a call for all jobs, which returns when the test lets it.
async fn in_a_call<R: Repository + Clone>(bench: &Bench<R>) -> JoinHandle<Result<PassReport, Error>> {
    bench.clock.advance(Duration::from_secs(1));
    let orchestrator = bench.orchestrator.clone();
    let pass = tokio::spawn(async move { orchestrator.execute_pipelines().await });
    bench.world.until_waiting(1).await;
    pass
}

fn waits() -> World {
    World::new(|_| Call::Waits, |_| Job::Done)
}

/// Another worker has taken one of them: that outcome is refused, and the others stand.
async fn a_lease_that_is_lost_loses_one_outcome<R: Repository + Clone>(store: R) {
    let bench = Bench::new(store, waits(), roomy(), |builder| builder.pipeline::<Film>());
    let ids = bench.start::<Film>(0..10).await;
    let pass = in_a_call(&bench).await;
    let stored = bench.stored(ids[4]).await;
    let guard = Guard::Held(stored.run.epoch, stored.run.lease.unwrap().holder);
    let later = bench.now() + Duration::from_secs(3_600);
    let hold = Hold::Release { due_at: Some(later), seen: stored.run.inbox_seq };
    let lost = Update::new(ids[4], guard, hold, bench.now());
    let answers = bench.store.update(vec![lost].into()).await.unwrap();
    assert!(matches!(answers[..], [Answer::Applied { .. }]), "{answers:?}");
    bench.world.open();
    let report = pass.await.unwrap().unwrap();
    assert_eq!((report.finished, report.stale), (9, 1));
    let (stored, record) = (bench.stored(ids[4]).await, bench.record(ids[4]).await);
    assert_eq!((stored.run.status(), record.status), (Status::Pending, Status::Pending));
    assert_eq!(record.state.as_deref(), Some(r#"{"asked":0}"#), "what the call left of it is dropped too");
    assert_eq!(bench.pass_after(3_600).await.finished, 1, "whoever has it now asks anew");
}

/// The deadline of one passes: that one fails at once, and the call goes on for the others.
async fn a_deadline_that_passes_ends_one<R: Repository + Clone>(store: R) {
    let bench = Bench::new(store, waits(), roomy(), |builder| builder.pipeline::<News>());
    let late = bench.start::<News>(0..1).await[0];
    // Not due before the others are.
    bench.orchestrator.pause(late).await.unwrap();
    bench.clock.advance(Duration::from_secs(50));
    bench.start::<News>(1..5).await;
    bench.orchestrator.resume(late).await.unwrap();
    let pass = in_a_call(&bench).await;
    let is_open = async || bench.stored(late).await.run.status() == Status::Pending;
    while is_open().await {
        bench.clock.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(!pass.is_finished());
    }
    assert_eq!(bench.stored(late).await.run.state.cause.unwrap().kind, CauseKind::Deadline);
    bench.world.open();
    let report = pass.await.unwrap().unwrap();
    assert_eq!((report.finished, report.failed, bench.world.take().sizes()), (4, 1, vec![5]));
}

/// Settles all but those whose run is cancelled, of which it waits for one.
#[step(poll = "10s")]
struct Tidy;

impl Step for Tidy {
    type Input = u64;
    type Output = u64;

    async fn on_start(&mut self, _: &u64, _: &StepContext) -> StepResult<u64> {
        pending_for(Duration::from_secs(1))
    }

    async fn on_continue_many(waiting: &mut [Waiting<'_, Self>], cx: &BatchContext) -> Result<(), StepError> {
        if waiting.iter().any(|one| *one.input == 3) {
            cx.resource::<World>()?.waits();
            let third = waiting.iter().find(|one| *one.input == 3).map(|one| one.cx.clone());
            third.unwrap().cancelled().await;
        }
        for one in waiting.iter_mut().filter(|one| !one.cx.is_cancelled()) {
            one.settle(finish(*one.input));
        }
        Ok(())
    }
}

#[pipeline(steps = [Tidy])]
struct Tidying;

/// The cancel of one is heard by that one alone.
#[tokio::test]
async fn a_cancel_is_heard_by_one() {
    let config = roomy().lease(Duration::from_secs(300));
    let bench = Bench::new(MemoryRepository::new(), waits(), config, |builder| builder.pipeline::<Tidying>());
    let ids = bench.start::<Tidying>(0..6).await;
    let pass = in_a_call(&bench).await;
    bench.orchestrator.cancel(ids[3], "enough").await.unwrap();
    bench.clock.advance(Duration::from_secs(101));
    assert_eq!(pass.await.unwrap().unwrap().finished, 5);
    assert_eq!(bench.pass().await.cancelled, 1, "it was not settled, so the cancel is not too late");
    assert_eq!(bench.stored(ids[3]).await.run.status(), Status::Cancelled);
}

/// Says when it is dropped.
struct Dropped(Arc<AtomicU32>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[step(poll = "10s")]
struct Endless;

impl Step for Endless {
    type Input = u64;
    type Output = u64;

    async fn on_start(&mut self, _: &u64, _: &StepContext) -> StepResult<u64> {
        pending_for(Duration::from_secs(1))
    }

    async fn on_continue_many(waiting: &mut [Waiting<'_, Self>], cx: &BatchContext) -> Result<(), StepError> {
        let _dropped = Dropped(cx.resource::<Arc<AtomicU32>>()?.clone());
        ask_all(waiting, cx).await
    }
}

#[pipeline(steps = [Endless])]
struct Ages;

/// A worker that is told to stop drops the call when its grace is over, and gives all runs back.
#[tokio::test]
async fn a_stop_drops_the_call_and_gives_all_back() {
    let dropped = Arc::new(AtomicU32::new(0));
    let config = roomy().grace(Duration::ZERO);
    let add = |builder: prorch::OrchestratorBuilder| builder.resource(dropped.clone()).pipeline::<Ages>();
    let bench = Bench::new(MemoryRepository::new(), waits(), config, add);
    let ids = bench.start::<Ages>(0..7).await;
    bench.clock.advance(Duration::from_secs(1));
    bench.orchestrator.run_until(bench.world.until_waiting(1)).await.unwrap();
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
    for id in ids {
        let run = bench.stored(id).await.run;
        assert_eq!((run.status(), run.lease, run.state.crashes), (Status::Pending, None, 0));
    }
}

/// Cuts off so many calls of the run: each time a worker claims it, and is gone.
async fn cut_off<R: Repository + Clone>(bench: &Bench<R>, run: RunId, calls: u8) {
    for call in 1..=calls {
        let lease = Lease::new(WorkerId::from_bytes([call; 16]), bench.now(), Duration::from_secs(1));
        let claim = bench.stored(run).await.run.claim(lease, bench.now());
        let answers = bench.store.update(vec![claim].into()).await.unwrap();
        assert!(matches!(answers[..], [Answer::Applied { .. }]), "{answers:?}");
        bench.clock.advance(Duration::from_secs(2));
    }
}

/// A run that may kill its worker is asked alone, however many others are due.
async fn a_suspect_is_asked_alone<R: Repository + Clone>(store: R) {
    let world = World::new(|_| Call::Returns, |_| Job::Done);
    let bench = Bench::new(store, world, roomy(), |builder| builder.pipeline::<Film>());
    let ids = bench.start::<Film>(0..6).await;
    bench.clock.advance(Duration::from_secs(1));
    cut_off(&bench, ids[2], 2).await;
    cut_off(&bench, ids[5], 1).await;
    assert_eq!(bench.pass().await.finished, 6);
    let seen = bench.world.take();
    let alone: Vec<&Vec<u64>> = seen.together.iter().filter(|jobs| jobs.len() == 1).collect();
    assert_eq!(
        (seen.sizes(), alone),
        (vec![5, 1], vec![&vec![2]]),
        "one that was cut off once is no suspect"
    );
}

on_both!(a_lease_that_is_lost_loses_one_outcome, a_deadline_that_passes_ends_one, a_suspect_is_asked_alone,);
