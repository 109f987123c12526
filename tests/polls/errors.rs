//! An error of the whole call counts for each, and ends none.

use std::time::Duration;

use prorch::prelude::*;
use prorch::repository::{MemoryRepository, Repository, Status};

use crate::bench::{Bench, Call, Job, World, ask_all, job, on_both, roomy};

job!((poll = "10s", retry(max_attempts = 2, backoff = "10s..10s")) Twice);
job!((poll = "10s", retry(max_attempts = 1)) Once);
job!((poll = "10s", retry(if = is_worth_it)) Never);

fn is_worth_it(_: &StepError) -> bool {
    false
}

#[pipeline(steps = [Twice])]
struct Retried;

#[pipeline(steps = [Once])]
struct NotRetried;

#[pipeline(steps = [Never])]
struct NotWorthIt;

/// Settles nothing where the call is for many.
#[step(poll = "10s", retry(max_attempts = 2, backoff = "10s..10s"))]
struct Silent;

impl Step for Silent {
    type Input = u64;
    type Output = u64;

    async fn on_start(&mut self, _: &u64, _: &StepContext) -> StepResult<u64> {
        pending_for(Duration::from_secs(1))
    }

    async fn on_continue_many(waiting: &mut [Waiting<'_, Self>], cx: &BatchContext) -> Result<(), StepError> {
        if waiting.len() > 1 {
            cx.resource::<World>()?.asked(waiting.iter().map(|one| *one.input));
            let settled = waiting.iter_mut().filter(|one| *one.input == 0);
            settled.for_each(|one| one.settle(finish(1)));
            return Err(StepError::retry_after("the farm is closed", Duration::from_secs(60)));
        }
        ask_all(waiting, cx).await
    }
}

#[pipeline(steps = [Silent])]
struct Silence;

/// The first time each has an attempt left; the second time none has, and each is asked alone before anything ends.
async fn an_error_counts_for_each_and_none_fails_by_it<R: Repository + Clone>(store: R) {
    let world = World::new(|_| Call::Returns, |number| if number == 3 { Job::Errs } else { Job::Done });
    let bench = Bench::new(store, world, roomy(), |builder| builder.pipeline::<Silence>());
    let ids = bench.start::<Silence>(0..5).await;
    let report = bench.pass_after(1).await;
    assert_eq!((report.calls, report.finished, report.waiting), (1, 1, 4), "what was settled counts");
    assert_eq!(bench.world.take().sizes(), [5]);
    for id in &ids[1..] {
        let record = bench.record(*id).await;
        assert_eq!((record.errors, record.attempt), (1, 2));
        assert_eq!(record.error.as_deref(), Some("the farm is closed"));
        let due = record.due_at.unwrap().saturating_since(bench.now());
        assert_eq!(due, Duration::from_secs(60), "when the error says");
    }
    let report = bench.pass_after(60).await;
    assert_eq!(bench.world.take().sizes(), [4, 1, 1, 1, 1], "together, and then each alone");
    assert_eq!((report.finished, report.failed), (3, 1));
    let cause = bench.stored(ids[3]).await.run.state.cause.unwrap();
    assert_eq!(&*cause.text, "the job says nothing", "it fails by its own error");
}

/// What is not to be retried, for whatever reason, is nobody's end before it was asked alone, at once.
async fn each_is_asked_alone_where_an_error_would_end_it<P: Pipeline<Input = u64>>(call: Call) {
    let world = World::new(
        move |jobs| if jobs.len() > 1 { call } else { Call::Returns },
        |number| match number {
            2 => Job::Fails,
            _ => Job::Done,
        },
    );
    let bench = Bench::new(MemoryRepository::new(), world, roomy(), |builder| builder.pipeline::<P>());
    bench.start::<P>(0..4).await;
    let report = bench.pass_after(1).await;
    assert_eq!((report.finished, report.failed, report.waiting), (3, 1, 0), "{call:?}");
    assert_eq!(bench.world.take().sizes()[0], 4);
}

#[tokio::test]
async fn an_error_that_is_not_to_be_retried_ends_none() {
    each_is_asked_alone_where_an_error_would_end_it::<Retried>(Call::CannotBeDone).await;
    each_is_asked_alone_where_an_error_would_end_it::<NotRetried>(Call::Errs).await;
    each_is_asked_alone_where_an_error_would_end_it::<NotWorthIt>(Call::Errs).await;
}

/// Alone it is the record's own: then it counts like any other.
#[tokio::test]
async fn an_error_that_stays_is_everybodys_own_in_the_end() {
    let world = World::new(|_| Call::Errs, |_| Job::Unknown);
    let bench = Bench::new(MemoryRepository::new(), world, roomy(), |builder| builder.pipeline::<Retried>());
    let ids = bench.start::<Retried>(0..3).await;
    assert_eq!(bench.pass_after(1).await.waiting, 3);
    let report = bench.pass_after(11).await;
    assert_eq!((report.failed, bench.world.take().sizes()), (3, vec![3, 3, 1, 1, 1]));
    for id in ids {
        let stored = bench.stored(id).await;
        assert_eq!(stored.run.status(), Status::Failed);
        assert_eq!(&*stored.run.state.cause.unwrap().text, "the farm is closed");
    }
}

on_both!(an_error_counts_for_each_and_none_fails_by_it);
