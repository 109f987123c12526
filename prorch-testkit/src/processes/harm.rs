//! A step that ends its process, again and again.

use std::time::Duration;

use prorch_core::repository::{CauseKind, Status};

use super::LONGEST;
use super::pipelines::Plain;
use super::scene::Scene;
use super::steps::{Act, Order};
use super::worker::{Worker, WorkerSetup};
use crate::soak::{pick, say};

/// Plenty for a worker, and soon used up.
const MEMORY: u64 = 3 << 30;

/// Of two hundred runs one aborts its process: that one is failed by the crash cap, the others finish.
pub async fn a_step_that_aborts_harms_its_own_run_only(scene: Scene) {
    harms_its_own_run_only(&scene, Act::Aborts, |worker| worker).await;
}

/// The same with one that asks for memory until there is none, which ends the process too.
pub async fn a_step_that_uses_up_the_memory_harms_its_own_run_only(scene: Scene) {
    harms_its_own_run_only(&scene, Act::Allocates, |worker| worker.memory(MEMORY)).await;
}

async fn harms_its_own_run_only(scene: &Scene, act: Act, limit: impl Fn(WorkerSetup) -> WorkerSetup) {
    const RUNS: usize = 200;
    let cap = pick(3, 5);
    let worker = |name| limit(scene.worker(name).lease(Duration::from_secs(1)).crash_cap(cap)).spawn();
    let mut orders = vec![Order::default(); RUNS];
    orders[RUNS / 2] = Order::that(act.clone());
    scene.start::<Plain>(orders).await;
    let names = ["one", "two"];
    let mut workers = names.map(worker);
    let mut deaths = 0;
    let took = scene
        .until_all_ended(LONGEST, |_| {
            for (worker_process, name) in workers.iter_mut().zip(names) {
                if worker_process.ended().is_some() {
                    deaths += 1;
                    *worker_process = worker(name);
                }
            }
        })
        .await;
    workers.iter_mut().for_each(Worker::stop);

    let failed = scene.runs(Status::Failed).await;
    let causes: Vec<_> = failed.iter().map(|run| run.state.cause.as_ref()).collect();
    let [Some(cause)] = causes[..] else { panic!("one run should have failed, not {}", failed.len()) };
    assert_eq!((cause.kind, cause.step.as_deref()), (CauseKind::Crash, Some("Second")));
    assert!(cause.text.contains("calls in a row were cut off"), "{}", cause.text);
    assert!(failed[0].input.contains(&format!("{act:?}")), "{}", failed[0].input);
    assert_eq!(scene.runs(Status::Finished).await.len(), RUNS - 1);
    assert!(deaths >= cap, "the process died {deaths} times");
    say(&format!(
        "a step that {act:?} among {RUNS} runs: {deaths} processes died, and one run failed, after {took:?}"
    ));
}
