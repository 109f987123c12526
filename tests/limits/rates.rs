//! How often a step is started.

use prorch::prelude::*;
use prorch::repository::Repository;

use crate::bench::{Bench, Watch, World, on_both};

#[step]
async fn write(of: u64, world: &World, watch: &Watch) -> StepResult<u64> {
    world.does("write", of, watch);
    finish(of)
}

#[step(rate = "10/s")]
async fn send(of: u64, world: &World, watch: &Watch) -> StepResult<u64> {
    world.does("send", of, watch);
    finish(of)
}

#[step]
async fn note(of: u64, world: &World, watch: &Watch) -> StepResult<u64> {
    world.does("note", of, watch);
    finish(of)
}

#[pipeline(steps = [write, send, note])]
struct Mail;

#[pipeline(steps = [send])]
struct Direct;

/// Errs twice, half a second after each other.
#[step(rate("10/s", burst = 2), retry(backoff = "1ms..1ms"))]
async fn ask(of: u64, cx: &StepContext, world: &World, watch: &Watch) -> StepResult<u64> {
    world.does("ask", of, watch);
    if cx.attempt() < 3 { Err("not yet".into()) } else { finish(of) }
}

#[pipeline(steps = [ask])]
struct Asks;

#[pipeline(steps = [[send, note]])]
struct SideBySide;

async fn starts_come_one_after_the_other<R: Repository + Clone>(store: R) {
    let bench = Bench::new(store, |builder| builder.pipeline::<Mail>().pipeline::<Direct>());
    for of in 0..6 {
        bench.orchestrator.start::<Mail>(of).await.unwrap();
    }
    bench.orchestrator.start::<Direct>(100).await.unwrap();
    bench.pass().await;
    let first = bench.world.take();
    assert_eq!(first.iter().filter(|done| done.step == "send").count(), 1, "in the same pass");
    bench.until_all_ended().await;
    let done = [first, bench.world.take()].concat();
    let at = |step: &str| -> Vec<u64> {
        done.iter().filter(|done| done.step == step).map(|done| done.millis).collect()
    };
    assert_eq!(at("write"), [0; 6], "what stands before it does not wait");
    assert_eq!(at("send"), [0, 100, 200, 300, 400, 500, 600], "in both pipelines together");
    assert_eq!(at("note").len(), 6);
}

async fn an_attempt_is_a_start<R: Repository + Clone>(store: R) {
    let bench = Bench::new(store, |builder| builder.pipeline::<Asks>());
    bench.orchestrator.start::<Asks>(1).await.unwrap();
    bench.orchestrator.start::<Asks>(2).await.unwrap();
    bench.until_all_ended().await;
    let asked: Vec<u64> = bench.world.take().into_iter().map(|done| done.millis).collect();
    assert_eq!(asked, [0, 0, 100, 200, 300, 400]);
}

async fn a_rate_is_for_a_step_that_stands_alone<R: Repository + Clone>(store: R) {
    let told = Orchestrator::builder(store).pipeline::<SideBySide>().build().unwrap_err().to_string();
    assert!(told.contains("`send`") && told.contains("each(run(ThatPipeline))"), "{told}");
}

on_both!(starts_come_one_after_the_other, an_attempt_is_a_start, a_rate_is_for_a_step_that_stands_alone);
