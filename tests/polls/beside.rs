//! Beside the other functions of a step: who is asked by which.

use std::time::Duration;

use prorch::prelude::*;
use prorch::repository::{MemoryRepository, Repository, Status};
use prorch::testing::call;

use crate::bench::{Bench, Call, Job, World, ask_all, on_both, roomy};

/// Has both functions; some of its records wait for a signal.
#[step(poll = "10s")]
struct Both {
    signal: bool,
}

impl Step for Both {
    type Input = u64;
    type Output = u64;

    async fn on_start(&mut self, number: &u64, _: &StepContext) -> StepResult<u64> {
        self.signal = *number >= 100;
        if self.signal { wait_for_signal("go", None) } else { pending_for(Duration::from_secs(1)) }
    }

    async fn on_continue(&mut self, number: &u64, cx: &StepContext) -> StepResult<u64> {
        let alone = cx.resource::<World>()?.alone(*number);
        match cx.signal::<u64>("go")? {
            Some(sent) => finish(sent),
            None => alone,
        }
    }

    async fn on_continue_many(waiting: &mut [Waiting<'_, Self>], cx: &BatchContext) -> Result<(), StepError> {
        ask_all(waiting, cx).await
    }
}

#[pipeline(steps = [Both])]
struct BothWays;

async fn one_alone_is_asked_by_on_continue_and_so_is_one_that_heard_a_signal<R: Repository + Clone>(
    store: R,
) {
    let world = World::new(|_| Call::Returns, |number| if number == 0 { Job::Later(5) } else { Job::Done });
    let bench = Bench::new(store, world, roomy(), |builder| builder.pipeline::<BothWays>());
    bench.start::<BothWays>(0..3).await;
    let signalled = bench.start::<BothWays>(100..103).await;
    for run in &signalled {
        bench.orchestrator.signal(*run, "go", 7_u64).await.unwrap();
    }
    let report = bench.pass_after(1).await;
    let mut seen = bench.world.take();
    seen.alone.sort_unstable();
    assert_eq!((seen.sizes(), seen.alone), (vec![3], vec![100, 101, 102]));
    assert_eq!((report.calls, report.finished, report.waiting), (4, 5, 1));
    bench.pass_after(5).await;
    let seen = bench.world.take();
    assert_eq!((seen.sizes(), seen.alone), (vec![], vec![0]), "one alone");
}

/// What a call for many takes of a run's inbox is taken for good, once.
#[step(poll = "10s")]
struct Listens;

impl Step for Listens {
    type Input = u64;
    type Output = u64;

    async fn on_start(&mut self, _: &u64, _: &StepContext) -> StepResult<u64> {
        pending_for(Duration::from_secs(1))
    }

    async fn on_continue_many(waiting: &mut [Waiting<'_, Self>], _: &BatchContext) -> Result<(), StepError> {
        // In another order than they came in.
        waiting.sort_by_key(|one| std::cmp::Reverse(*one.input));
        for one in waiting.iter_mut() {
            one.cx.progress(*one.input, 9);
            one.cx.set_metadata("asked", *one.input);
            match one.cx.signal::<u64>("go")? {
                Some(sent) => one.settle(finish(sent + *one.input)),
                None => one.settle(pending()),
            }
        }
        Ok(())
    }
}

#[pipeline(steps = [Listens])]
struct Listeners;

async fn each_has_its_own_inbox_and_leaves_its_own_things<R: Repository + Clone>(store: R) {
    let world = World::new(|_| Call::Returns, |_| Job::Done);
    let bench = Bench::new(store, world, roomy(), |builder| builder.pipeline::<Listeners>());
    let ids = bench.start::<Listeners>(0..6).await;
    for (sent, id) in (100_u64..).step_by(100).zip(&ids).step_by(2) {
        bench.orchestrator.signal(*id, "go", sent).await.unwrap();
    }
    let report = bench.pass_after(1).await;
    assert_eq!((report.calls, report.finished, report.waiting), (1, 3, 3));
    for (number, id) in (0_u64..).zip(ids) {
        let (stored, record) = (bench.stored(id).await, bench.record(id).await);
        let sent = (number % 2 == 0).then(|| (number * 101 + 100).to_string());
        assert_eq!(stored.run.state.output.as_deref(), sent.as_deref(), "{number}");
        assert_eq!(stored.run.state.metadata["asked"], number);
        assert_eq!(record.progress.map(|progress| progress.done), Some(number));
        assert_eq!(stored.untaken().count(), 0);
    }
}

/// Has neither `on_start` nor `on_continue`.
#[step(poll = "10s")]
struct ManyOnly {
    asked: u32,
}

impl Step for ManyOnly {
    type Input = u64;
    type Output = u64;

    async fn on_continue_many(waiting: &mut [Waiting<'_, Self>], _: &BatchContext) -> Result<(), StepError> {
        let together = u64::try_from(waiting.len())?;
        for one in waiting.iter_mut() {
            one.step.asked += 1;
            one.settle(if one.step.asked < 2 { pending() } else { finish(together) });
        }
        Ok(())
    }
}

#[pipeline(steps = [ManyOnly])]
struct Only;

#[tokio::test]
async fn it_may_be_the_only_function() {
    let world = World::new(|_| Call::Returns, |_| Job::Done);
    let bench = Bench::new(MemoryRepository::new(), world, roomy(), |builder| builder.pipeline::<Only>());
    let ids = bench.start::<Only>(0..4).await;
    assert_eq!(bench.pass_after(10).await.finished, 4);
    assert_eq!(bench.stored(ids[2]).await.run.state.output.as_deref(), Some("4"), "four at once");
    let mut alone = call::<ManyOnly>(1);
    assert_eq!(alone.on_start().await.unwrap(), prorch::Progress::Pending { after: None });
    assert_eq!(alone.on_continue().await.unwrap(), prorch::Progress::Finished(1));
}

/// Hands its call on to a step that is never asked about many.
#[step(poll = "10s")]
struct Wrapper;

#[step]
struct Wrapped;

impl Step for Wrapped {
    type Input = u64;
    type Output = u64;

    async fn on_start(&mut self, number: &u64, _: &StepContext) -> StepResult<u64> {
        finish(*number)
    }
}

impl Step for Wrapper {
    type Input = u64;
    type Output = u64;

    async fn on_start(&mut self, _: &u64, _: &StepContext) -> StepResult<u64> {
        pending_for(Duration::from_secs(1))
    }

    async fn on_continue(&mut self, number: &u64, _: &StepContext) -> StepResult<u64> {
        finish(*number)
    }

    async fn on_continue_many(_: &mut [Waiting<'_, Self>], cx: &BatchContext) -> Result<(), StepError> {
        Wrapped::on_continue_many(&mut [], cx).await
    }
}

#[pipeline(steps = [Wrapper])]
struct Wrapping;

#[tokio::test]
async fn what_is_handed_on_to_nobody_is_asked_alone() {
    let world = World::new(|_| Call::Returns, |_| Job::Done);
    let bench = Bench::new(MemoryRepository::new(), world, roomy(), |builder| builder.pipeline::<Wrapping>());
    let ids = bench.start::<Wrapping>(0..3).await;
    let report = bench.pass_after(1).await;
    assert_eq!((report.finished, report.calls), (3, 4));
    assert_eq!(bench.stored(ids[0]).await.run.status(), Status::Finished);
}

on_both!(
    one_alone_is_asked_by_on_continue_and_so_is_one_that_heard_a_signal,
    each_has_its_own_inbox_and_leaves_its_own_things,
);
