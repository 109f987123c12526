//! The engine on the in-memory repository: what a worker does with steps of every kind.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prorch_core::clock::ManualClock;
use prorch_core::config::OrchestratorConfig;
use prorch_core::error::Error;
use prorch_core::model::{CauseKind, Status};
use prorch_core::orchestrator::{Orchestrator, OrchestratorBuilder, Told};
use prorch_core::pipeline::{Pipeline, PipelineDefinition, Stage};
use prorch_core::repository::MemoryRepository;
use prorch_core::step::{
    Step, StepContext, StepDefinition, StepResult, cancel, fail, finish, pending, pending_for,
    wait_for_signal,
};
use serde::{Deserialize, Serialize};

macro_rules! steps {
    ($($name:ident),*) => {$(
        impl StepDefinition for $name {
            const NAME: &'static str = stringify!($name);
        }
    )*};
}

macro_rules! pipeline {
    ($name:ident: $input:ty => $output:ty, [$($step:ty: $before:ty),*]) => {
        struct $name;
        impl Pipeline for $name {
            type Input = $input;
            type Output = $output;
            const NAME: &'static str = stringify!($name);
            fn definition() -> &'static PipelineDefinition {
                static DEFINITION: OnceLock<PipelineDefinition> = OnceLock::new();
                DEFINITION.get_or_init(|| {
                    PipelineDefinition::new(stringify!($name), module_path!(), vec![$(Stage::of::<$step, $before>()),*])
                })
            }
        }
    };
}

#[derive(Default, Serialize, Deserialize)]
struct Double;

impl Step for Double {
    type Input = u64;
    type Output = u64;

    async fn on_start(&mut self, input: &u64, _: &StepContext) -> StepResult<u64> {
        finish(input * 2)
    }
}

/// Asked three times until it is done.
#[derive(Default, Serialize, Deserialize)]
struct Poll {
    asked: u32,
}

impl Step for Poll {
    type Input = u64;
    type Output = u64;

    async fn on_start(&mut self, _: &u64, _: &StepContext) -> StepResult<u64> {
        pending()
    }

    async fn on_continue(&mut self, input: &u64, _: &StepContext) -> StepResult<u64> {
        self.asked += 1;
        if self.asked < 3 { pending() } else { finish(input + 1) }
    }
}

/// What the test tells a [`Moody`] step to do.
#[derive(Default, Serialize, Deserialize)]
struct Moody;

#[derive(Clone, Copy)]
enum Mood {
    Errs,
    Panics,
    Fails,
    Cancels,
    Hangs,
    Waits,
}

#[derive(Clone)]
struct Script {
    mood: Mood,
    calls: Arc<AtomicU32>,
}

impl Script {
    fn new(mood: Mood) -> Self {
        Self { mood, calls: Arc::default() }
    }

    fn calls(&self) -> u32 {
        self.calls.load(Ordering::SeqCst)
    }
}

impl Step for Moody {
    type Input = u64;
    type Output = u64;

    async fn on_start(&mut self, _: &u64, cx: &StepContext) -> StepResult<u64> {
        let script = cx.resource::<Script>()?;
        let call = script.calls.fetch_add(1, Ordering::SeqCst) + 1;
        assert_eq!(cx.attempt(), call);
        match script.mood {
            Mood::Errs => Err("no luck".into()),
            Mood::Panics => panic!("oh no"),
            Mood::Fails => fail("never"),
            Mood::Cancels => cancel("not needed"),
            Mood::Hangs => std::future::pending().await,
            Mood::Waits => wait_for_signal("go", Duration::from_secs(60)),
        }
    }

    async fn on_continue(&mut self, _: &u64, cx: &StepContext) -> StepResult<u64> {
        match cx.signal::<u64>("go")? {
            Some(number) => finish(number),
            None => finish(0),
        }
    }
}

/// Reads what an earlier step made.
#[derive(Default, Serialize, Deserialize)]
struct LookBack;

impl Step for LookBack {
    type Input = u64;
    type Output = Vec<u64>;

    async fn on_start(&mut self, input: &u64, cx: &StepContext) -> StepResult<Vec<u64>> {
        finish(vec![cx.run_input()?, cx.output::<Double>().await?, *input])
    }
}

#[derive(Default, Serialize, Deserialize)]
struct Sleepy;

impl Step for Sleepy {
    type Input = u64;
    type Output = u64;

    async fn on_start(&mut self, _: &u64, _: &StepContext) -> StepResult<u64> {
        pending_for(Duration::from_secs(3600))
    }

    async fn on_continue(&mut self, input: &u64, _: &StepContext) -> StepResult<u64> {
        finish(*input)
    }
}

steps!(Double, Poll, Moody, LookBack, Sleepy);
pipeline!(Chain: u64 => Vec<u64>, [Double: u64, Poll: u64, LookBack: u64]);
pipeline!(Mooded: u64 => u64, [Moody: u64, Double: u64]);
pipeline!(Nap: u64 => u64, [Sleepy: u64]);

fn builder(clock: &ManualClock, script: Script) -> OrchestratorBuilder {
    Orchestrator::builder(MemoryRepository::new())
        .clock(clock.clone())
        .resource(script)
        .pipeline::<Chain>()
        .pipeline::<Mooded>()
        .pipeline::<Nap>()
}

fn orchestrator(clock: &ManualClock, script: Script) -> Orchestrator {
    builder(clock, script).build().unwrap()
}

fn plain(clock: &ManualClock) -> Orchestrator {
    orchestrator(clock, Script::new(Mood::Fails))
}

#[tokio::test]
async fn a_pass_drives_a_run_as_far_as_it_can_go_now() {
    let clock = ManualClock::default();
    let orchestrator = plain(&clock);
    let run = orchestrator.start::<Chain>(20).await.unwrap();
    let report = orchestrator.execute_pipelines().await.unwrap();
    assert_eq!((report.claimed, report.calls, report.waiting), (1, 3, 1), "Double, and Poll's two functions");
    assert_eq!(run.status().await.unwrap(), Status::Pending);
    assert_eq!(orchestrator.active_pipelines().await.unwrap().total, Some(1));
    assert_eq!(orchestrator.execute_pipelines().await.unwrap().claimed, 0, "the poll is due a second later");
    for _ in 0..2 {
        clock.advance(Duration::from_secs(1));
        orchestrator.execute_pipelines().await.unwrap();
    }
    assert_eq!(run.wait().await.unwrap(), [20, 40, 41]);
}

#[tokio::test]
async fn a_worker_runs_until_its_future_resolves() {
    let orchestrator = Orchestrator::builder(MemoryRepository::new()).pipeline::<Chain>().build().unwrap();
    let run = orchestrator.start::<Chain>(1).await.unwrap();
    orchestrator.run_until(run.wait()).await.unwrap();
    assert_eq!(run.status().await.unwrap(), Status::Finished);
}

#[tokio::test]
async fn errors_are_retried_by_the_policy_and_then_fail_the_run() {
    for (mood, words) in [(Mood::Errs, "no luck"), (Mood::Panics, "the step panicked: oh no")] {
        let (clock, script) = (ManualClock::default(), Script::new(mood));
        let orchestrator = orchestrator(&clock, script.clone());
        let run = orchestrator.start::<Mooded>(1).await.unwrap();
        for pass in 1..=5 {
            orchestrator.execute_pipelines().await.unwrap();
            assert_eq!(script.calls(), pass);
            clock.advance(Duration::from_secs(60));
        }
        let Err(Error::Failed { cause, .. }) = run.wait().await else { panic!("it should have failed") };
        assert_eq!((cause.kind, cause.text.as_str()), (CauseKind::Error, words));
        assert_eq!(cause.step.as_deref(), Some("Moody"));
    }
}

#[tokio::test]
async fn a_failed_run_is_retried_on_request() {
    let (clock, script) = (ManualClock::default(), Script::new(Mood::Fails));
    let orchestrator = orchestrator(&clock, script.clone());
    let run = orchestrator.start::<Mooded>(1).await.unwrap();
    assert_eq!(orchestrator.execute_pipelines().await.unwrap().failed, 1);
    script.calls.store(0, Ordering::SeqCst);
    assert_eq!(orchestrator.retry(run.id()).await.unwrap(), Told::Done);
    assert_eq!(orchestrator.execute_pipelines().await.unwrap().failed, 1);
    assert_eq!(script.calls(), 1);
}

#[tokio::test]
async fn a_step_can_cancel_its_run() {
    let clock = ManualClock::default();
    let orchestrator = orchestrator(&clock, Script::new(Mood::Cancels));
    let run = orchestrator.start::<Mooded>(1).await.unwrap();
    orchestrator.execute_pipelines().await.unwrap();
    assert_eq!(
        run.wait().await.unwrap_err().to_string(),
        format!("run {} was cancelled at step `Moody`: not needed", run.id())
    );
}

#[tokio::test]
async fn a_signal_wakes_the_run_that_waits_for_it() {
    let clock = ManualClock::default();
    let orchestrator = orchestrator(&clock, Script::new(Mood::Waits));
    let run = orchestrator.start::<Mooded>(1).await.unwrap();
    orchestrator.execute_pipelines().await.unwrap();
    orchestrator.signal(run.id(), "other", 3_u64).await.unwrap();
    orchestrator.execute_pipelines().await.unwrap();
    assert_eq!(run.status().await.unwrap(), Status::Pending);
    orchestrator.signal(run.id(), "go", 21_u64).await.unwrap();
    orchestrator.execute_pipelines().await.unwrap();
    assert_eq!(run.wait().await.unwrap(), 42);
    let refused = orchestrator.signal(run.id(), "go", 1_u64).await.unwrap_err();
    assert!(matches!(refused, Error::Refused { .. }), "{refused}");
}

#[tokio::test]
async fn a_wait_for_a_signal_ends_at_its_limit() {
    let clock = ManualClock::default();
    let orchestrator = orchestrator(&clock, Script::new(Mood::Waits));
    let run = orchestrator.start::<Mooded>(1).await.unwrap();
    orchestrator.execute_pipelines().await.unwrap();
    clock.advance(Duration::from_secs(59));
    assert_eq!(orchestrator.execute_pipelines().await.unwrap().claimed, 0);
    clock.advance(Duration::from_secs(1));
    orchestrator.execute_pipelines().await.unwrap();
    assert_eq!(run.wait().await.unwrap(), 0);
}

#[tokio::test]
async fn an_idle_run_is_cancelled_paused_and_resumed_at_once() {
    let clock = ManualClock::default();
    let orchestrator = plain(&clock);
    let run = orchestrator.start::<Nap>(7).await.unwrap();
    orchestrator.execute_pipelines().await.unwrap();
    assert_eq!(orchestrator.pause(run.id()).await.unwrap(), Told::Done);
    clock.advance(Duration::from_secs(7200));
    assert_eq!(orchestrator.execute_pipelines().await.unwrap().claimed, 0, "it is paused");
    assert_eq!(orchestrator.resume(run.id()).await.unwrap(), Told::Done);
    assert_eq!(orchestrator.execute_pipelines().await.unwrap().finished, 1);
    let other = orchestrator.start::<Nap>(7).await.unwrap();
    assert_eq!(orchestrator.cancel(other.id(), "too slow").await.unwrap(), Told::Done);
    assert_eq!(other.status().await.unwrap(), Status::Cancelled);
    assert!(matches!(orchestrator.cancel(other.id(), "again").await, Err(Error::Refused { .. })));
}

#[tokio::test]
async fn a_busy_run_is_cancelled_when_its_lease_is_renewed() {
    let (clock, script) = (ManualClock::default(), Script::new(Mood::Hangs));
    let orchestrator = orchestrator(&clock, script.clone());
    let run = orchestrator.start::<Mooded>(1).await.unwrap();
    let worker = orchestrator.clone();
    let pass = tokio::spawn(async move { worker.execute_pipelines().await });
    while script.calls() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(orchestrator.cancel(run.id(), "enough").await.unwrap(), Told::Delivered);
    while !pass.is_finished() {
        clock.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(pass.await.unwrap().unwrap().cancelled, 1);
    assert_eq!(run.status().await.unwrap(), Status::Cancelled);
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_dropped_and_counts_as_an_error() {
    let (clock, script) = (ManualClock::default(), Script::new(Mood::Hangs));
    // The clock moves by seconds in each millisecond: a worker that was not scheduled meanwhile keeps its run.
    let config = OrchestratorConfig::default().lease(Duration::from_secs(24 * 3_600));
    let orchestrator = builder(&clock, script.clone()).config(config).build().unwrap();
    let run = orchestrator.start::<Mooded>(1).await.unwrap();
    let worker = orchestrator.clone();
    let pass = tokio::spawn(async move { worker.execute_pipelines().await });
    let begun = clock.clone();
    while !pass.is_finished() {
        begun.advance(Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(pass.await.unwrap().unwrap().waiting, 1);
    let stored = orchestrator.get(run.id()).await.unwrap().unwrap();
    let record = stored.current().next().unwrap();
    assert_eq!(record.error.as_deref(), Some("the call took longer than 300s, its timeout"));
    assert_eq!((record.attempt, record.errors), (2, 1));
}

#[tokio::test]
async fn two_starts_with_one_key_make_one_run() {
    let orchestrator = plain(&ManualClock::default());
    let first = orchestrator.start::<Nap>(1).key("night").await.unwrap();
    let second = orchestrator.start::<Nap>(2).key("night").await.unwrap();
    assert_eq!(first.id(), second.id());
    assert!(first.is_new() && !second.is_new());
}

#[tokio::test]
async fn a_worker_without_pipelines_says_what_to_write() {
    let orchestrator = Orchestrator::builder(MemoryRepository::new()).build().unwrap();
    let error = orchestrator.execute_pipelines().await.unwrap_err();
    assert!(error.to_string().contains(".pipeline::<MyPipeline>()"), "{error}");
}

#[tokio::test]
async fn a_run_of_an_unknown_pipeline_is_left_and_named() {
    let repository = MemoryRepository::new();
    let other = Orchestrator::builder(repository.clone()).pipeline::<Nap>().build().unwrap();
    let run = other.start::<Nap>(1).await.unwrap();
    let orchestrator = Orchestrator::builder(repository).pipeline::<Chain>().build().unwrap();
    let report = orchestrator.execute_pipelines().await.unwrap();
    assert_eq!((report.claimed, report.left.len()), (0, 1));
    assert_eq!(report.left[0].id, run.id());
    assert!(report.left[0].why.contains("no pipeline `Nap` is known here"), "{}", report.left[0].why);
}
