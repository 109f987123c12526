//! What one record may do to the others of its call: nothing.

use std::time::Duration;

use prorch::prelude::*;
use prorch::repository::{Repository, Status};
use prorch_testkit::soak;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::bench::{Bench, Call, Job, World, ask_all, job, on_both, roomy};

/// Whose call panics, or hangs, whoever else is in it.
const CULPRIT: u64 = 77;

job!((poll = "10s", retry(max_attempts = 2, backoff = "10s..10s")) Panicky);
job!((poll = "10s", timeout = "5s", retry(max_attempts = 2, backoff = "10s..10s")) Slow);

#[pipeline(steps = [Panicky])]
struct Panics;

#[pipeline(steps = [Slow])]
struct Hangs;

/// As many as are asked until the culprit stands alone: each call that goes wrong is asked again in two halves.
fn halves(jobs: usize) -> Vec<usize> {
    let mut sizes = vec![jobs];
    let mut wrong = jobs;
    while wrong > 1 {
        wrong /= 2;
        sizes.extend([wrong; 2]);
    }
    sizes
}

async fn is_halved<P, R>(bench: Bench<R>, error: &str)
where
    P: Pipeline<Input = u64>,
    R: Repository + Clone,
{
    let jobs = 128;
    let ids = bench.start::<P>(0..jobs).await;
    let (clock, orchestrator) = (bench.clock.clone(), bench.orchestrator.clone());
    clock.advance(Duration::from_secs(1));
    let pass = tokio::spawn(async move { orchestrator.execute_pipelines().await });
    // A call that is not to blame is over as soon as it begins, however fast time goes by.
    while !pass.is_finished() {
        clock.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let report = pass.await.unwrap().unwrap();
    let sizes = bench.world.take().sizes();
    soak::say(&format!("{error}: the one to blame among {jobs} stands alone after {} calls", sizes.len()));
    assert_eq!(sizes, halves(128));
    assert_eq!((report.finished, report.waiting), (jobs - 1, 1));
    let record = bench.record(ids[usize::try_from(CULPRIT).unwrap()]).await;
    assert_eq!((record.errors, record.attempt), (1, 2), "it is counted once, and for nobody else");
    assert!(record.error.as_ref().unwrap().contains(error), "{record:?}");
}

fn culprit(call: Call) -> World {
    World::new(move |jobs| if jobs.contains(&CULPRIT) { call } else { Call::Returns }, |_| Job::Done)
}

async fn a_panic_is_halved_until_the_one_to_blame_stands_alone<R: Repository + Clone>(store: R) {
    let bench = Bench::new(store, culprit(Call::Panics), roomy(), |builder| builder.pipeline::<Panics>());
    is_halved::<Panics, R>(bench, "the farm burns").await;
}

async fn a_call_that_takes_too_long_is_halved_too<R: Repository + Clone>(store: R) {
    let bench = Bench::new(store, culprit(Call::Hangs), roomy(), |builder| builder.pipeline::<Hangs>());
    is_halved::<Hangs, R>(bench, "took longer than 5s").await;
}

/// A number whose JSON panics, or can't be read, where it is told to.
#[derive(Clone, Copy, Default)]
struct Fragile(u64);

const PANICS_WHEN_WRITTEN: u64 = 13;
const PANICS_WHEN_READ: u64 = 14;
const CANNOT_BE_READ: u64 = 15;
const ERRS: u64 = 16;
const FAILS: u64 = 17;

impl Serialize for Fragile {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for Fragile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(from)?;
        assert!(number != PANICS_WHEN_READ, "this is not read");
        if number == CANNOT_BE_READ {
            return Err(serde::de::Error::custom("this is another value"));
        }
        Ok(Self(number))
    }
}

#[derive(Deserialize)]
struct Written(u64);

impl Serialize for Written {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        assert!(self.0 != PANICS_WHEN_WRITTEN, "this is not written");
        to.serialize_u64(self.0)
    }
}

#[step(poll = "10s", retry(max_attempts = 2, backoff = "10s..10s"))]
struct Mixed {
    number: Fragile,
}

impl Step for Mixed {
    type Input = u64;
    type Output = Written;

    async fn on_start(&mut self, number: &u64, _: &StepContext) -> StepResult<Written> {
        self.number = Fragile(*number);
        pending_for(Duration::from_secs(1))
    }

    async fn on_continue_many(waiting: &mut [Waiting<'_, Self>], cx: &BatchContext) -> Result<(), StepError> {
        cx.resource::<World>()?.asked(waiting.iter().map(|one| one.step.number.0));
        for one in waiting.iter_mut() {
            one.settle(match one.step.number.0 {
                ERRS => Err("no luck".into()),
                FAILS => fail("never"),
                number => finish(Written(number)),
            });
        }
        Ok(())
    }
}

#[pipeline(steps = [Mixed])]
struct Mixture;

async fn broken_ones_among_a_hundred_harm_nobody<R: Repository + Clone>(store: R) {
    let world = World::new(|_| Call::Returns, |_| Job::Done);
    let bench = Bench::new(store, world, roomy(), |builder| builder.pipeline::<Mixture>());
    let ids = bench.start::<Mixture>(0..100).await;
    let report = bench.pass_after(1).await;
    assert_eq!(bench.world.take().sizes(), [98], "those that can be read are asked once");
    assert_eq!((report.finished, report.failed, report.waiting), (95, 1, 4));
    let of = |number: u64| ids[usize::try_from(number).unwrap()];
    for (number, text) in [
        (PANICS_WHEN_WRITTEN, "the step panicked: this is not written"),
        (PANICS_WHEN_READ, "the step panicked: this is not read"),
        (ERRS, "no luck"),
    ] {
        let record = bench.record(of(number)).await;
        assert_eq!((record.status, record.errors), (Status::Pending, 1), "{number}");
        assert_eq!(record.error.as_deref(), Some(text));
    }
    let stuck = bench.stored(of(CANNOT_BE_READ)).await.run.state.stuck;
    assert!(stuck.is_some_and(|why| why.contains("this is another value")), "it is left, and named");
    let failed = bench.stored(of(FAILS)).await.run.state.cause.unwrap();
    assert_eq!(&*failed.text, "never");
}

/// What no store takes fails the one whose answer it is.
async fn what_the_store_refuses_is_refused_to_one<R: Repository + Clone>(store: R) {
    let world = World::new(|_| Call::Returns, |_| Job::Done);
    let bench = Bench::new(store, world, roomy(), |builder| builder.pipeline::<Names>());
    let ids = bench.start::<Names>(0..10).await;
    let report = bench.pass_after(1).await;
    assert_eq!((report.calls, report.finished, report.failed), (1, 9, 1));
    let cause = bench.stored(ids[3]).await.run.state.cause.unwrap();
    assert_eq!(cause.kind, prorch::repository::CauseKind::Refused, "{cause:?}");
}

#[step(poll = "10s")]
struct Name;

impl Step for Name {
    type Input = u64;
    type Output = u64;

    async fn on_start(&mut self, _: &u64, _: &StepContext) -> StepResult<u64> {
        pending_for(Duration::from_secs(1))
    }

    async fn on_continue_many(waiting: &mut [Waiting<'_, Self>], cx: &BatchContext) -> Result<(), StepError> {
        ask_all(waiting, cx).await?;
        for one in waiting.iter_mut().filter(|one| *one.input == 3) {
            one.settle(wait_for_signal("a name\0that no store keeps", None));
        }
        Ok(())
    }
}

#[pipeline(steps = [Name])]
struct Names;

on_both!(
    a_panic_is_halved_until_the_one_to_blame_stands_alone,
    a_call_that_takes_too_long_is_halved_too,
    broken_ones_among_a_hundred_harm_nobody,
    what_the_store_refuses_is_refused_to_one,
);
