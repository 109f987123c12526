//! Limits across processes that are killed and started at random.

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use fastrand::Rng;
use prorch_core::model::{Filter, Rate, RunId, Status};
use prorch_core::pipeline::{Pipeline, PipelineDefinition, Stage};
use prorch_core::step::{Step, StepContext, StepDefinition, StepOptions, StepResult, finish};
use serde::{Deserialize, Serialize};

use super::journal::{Does, Effect};
use super::scene::Scene;
use super::steps::{First, Noted, Order, Polled, Third};
use super::tally::assert_quiet;
use super::worker::Worker;
use super::{LONGEST, Victims};
use crate::soak::{chance, pick, say};

/// So many runs of [`Limited`] have begun and not ended, and so many are held.
const MOST_RUNNING: usize = 3;
const MOST_CALLS: usize = 2;
const WORKERS: usize = 4;

/// Three steps, of which the second waits now and then; three runs at a time, of which two are worked on.
#[derive(Debug)]
pub(super) struct Limited;

impl Pipeline for Limited {
    type Input = Order;
    type Output = Order;
    const NAME: &'static str = "Limited";

    fn definition() -> &'static PipelineDefinition {
        static DEFINITION: OnceLock<PipelineDefinition> = OnceLock::new();
        DEFINITION.get_or_init(|| {
            let stages =
                vec![Stage::of::<First, Order>(), Stage::of::<Polled, Order>(), Stage::of::<Third, Order>()];
            PipelineDefinition::new(Self::NAME, module_path!(), stages)
                .max_running(MOST_RUNNING as u32, None)
                .max_calls(MOST_CALLS as u32, None)
        })
    }
}

/// One step, ten times a second.
#[derive(Debug)]
pub(super) struct PacedRun;

impl Pipeline for PacedRun {
    type Input = Order;
    type Output = Order;
    const NAME: &'static str = "PacedRun";

    fn definition() -> &'static PipelineDefinition {
        static DEFINITION: OnceLock<PipelineDefinition> = OnceLock::new();
        DEFINITION.get_or_init(|| {
            PipelineDefinition::new(Self::NAME, module_path!(), vec![Stage::of::<Paced, Order>()])
        })
    }
}

/// Is started ten times a second.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Paced;

impl StepDefinition for Paced {
    const NAME: &'static str = "Paced";
    const OPTIONS: StepOptions =
        StepOptions { rate: Some(Rate::new(10, Duration::from_secs(1))), ..StepOptions::NONE };
}

impl Step for Paced {
    type Input = Order;
    type Output = Order;

    async fn on_start(&mut self, order: &Order, cx: &StepContext) -> StepResult<Order> {
        Noted::begin(cx, 0, order.work).await?.note(Does::Finishes)?;
        finish(order.clone())
    }
}

/// How many runs had begun and not ended at the most: each line of the journal was written between the claim that began its
/// run and the commit that ended it.
fn most_at_once(effects: &[Effect]) -> usize {
    let is_end = |effect: &Effect| effect.step == "Third" && effect.does == Does::Finishes;
    let (mut open, mut most): (BTreeSet<RunId>, usize) = (BTreeSet::new(), 0);
    for (at, effect) in effects.iter().enumerate() {
        open.insert(effect.run);
        most = most.max(open.len());
        if is_end(effect) && !effects[at + 1..].iter().any(|later| later.run == effect.run) {
            open.remove(&effect.run);
        }
    }
    most
}

/// How many runs have begun and not ended, and how many are held, in one snapshot.
async fn look(scene: &Scene) -> (usize, usize) {
    let open = scene.orchestrator().search(&Filter::active().limit(10_000)).await;
    let open = open.expect("the store can be read").runs;
    let running = open.iter().filter(|run| run.status() == Status::Pending || run.permits.running.is_some());
    (running.count(), open.iter().filter(|run| run.lease.is_some()).count())
}

/// A limit of three is never exceeded, and is reached.
pub async fn a_limit_is_never_exceeded_and_is_reached_whenever_workers_are_killed(scene: Scene) {
    let (runs, kills) = (pick(40, 1_000), pick(3, 40));
    let mut chance = chance();
    let mut victims = Victims::new(&scene, WORKERS);
    scene.start::<Limited>(vec![Order::default().working(Duration::from_millis(1)); runs]).await;
    let (mut most_running, mut most_held) = (0, 0);
    while scene.open_runs().await > 0 {
        let (running, held) = look(&scene).await;
        assert!(running <= MOST_RUNNING, "{running} run at a time");
        assert!(held <= MOST_CALLS, "{held} are held at a time");
        (most_running, most_held) = (most_running.max(running), most_held.max(held));
        let done = runs - scene.open_runs().await as usize;
        if victims.killed.len() < kills && done * kills >= victims.killed.len() * runs {
            victims.kill_one(&mut chance).await;
        }
    }
    scene.until_all_ended(LONGEST, |_| {}).await;
    victims.stop();
    assert_eq!(scene.runs(Status::Finished).await.len(), runs);
    let effects = scene.effects();
    assert_eq!((most_at_once(&effects), most_running, most_held), (MOST_RUNNING, MOST_RUNNING, MOST_CALLS));
    victims.assert_nothing_after_an_end(&effects);
    assert_quiet(&scene);
    say(&format!("{} kills over {runs} runs: three ran at a time, and never more", victims.killed.len()));
}

fn started(scene: &Scene) -> usize {
    scene.effects().iter().filter(|effect| effect.does == Does::Begins).count()
}

/// What is started ten times a second is started so often by all processes together.
pub async fn a_rate_is_kept_by_all_workers_together_whenever_they_are_killed(scene: Scene) {
    let (seconds, kills): (usize, usize) = (pick(3, 20), pick(1, 3));
    let mut chance = chance();
    let start = |number: usize| {
        scene.worker(&format!("worker-{number}")).lease(Duration::from_secs(2)).concurrency(8).spawn()
    };
    let mut workers: Vec<Worker> = (0..WORKERS).map(start).collect();
    workers.iter_mut().for_each(Worker::wait_until_up);
    scene.start::<PacedRun>(vec![Order::default(); seconds * 15]).await;
    scene.until("a run is started", || started(&scene) > 0).await;
    // The first one was started a moment ago, and what counts is the time since then.
    let end = Instant::now() + Duration::from_secs(seconds as u64) - Duration::from_millis(50);
    for kill in 0..kills {
        let pause = end.saturating_duration_since(Instant::now()) / (kills - kill + 1) as u32;
        tokio::time::sleep(pause.mul_f64(0.5 + Rng::f64(&mut chance))).await;
        let number = chance.usize(..WORKERS);
        workers[number].kill();
        workers[number] = start(number);
    }
    tokio::time::sleep(end.saturating_duration_since(Instant::now())).await;
    let starts = started(&scene);
    let (least, most) = (seconds * 17 / 2, seconds * 10 + 1);
    assert!((least..=most).contains(&starts), "{starts} starts in {seconds} s");
    workers.iter_mut().for_each(Worker::stop);
    say(&format!("{starts} starts in {seconds} s by {WORKERS} processes, {kills} of them killed"));
}
