//! A worker that stands still for longer than its lease, and then goes on.

use std::time::{Duration, Instant};

use prorch_core::repository::Status;

use super::LONGEST;
use super::journal::{Does, Effect};
use super::pipelines::Plain;
use super::scene::Scene;
use super::steps::{Act, Order};
use super::task::Time;
use super::worker::Worker;
use crate::soak::{pick, say};

const LEASE: Duration = Duration::from_secs(2);

/// A worker is frozen while its steps wait at a hook, outside of any write. Others finish its runs within the lease and a
/// second. Woken, it still thinks that it holds them: its calls answer, and everything that it writes is refused.
pub async fn the_runs_of_a_frozen_worker_go_to_others_and_it_can_change_nothing_when_it_wakes(scene: Scene) {
    let runs = pick(10, 100);
    // Its timers are late, so that its calls answer before it notices by itself that its leases are over.
    let late = Time::Late(LEASE / 4);
    let mut frozen = scene.worker("frozen").lease(LEASE).time(late).spawn();
    frozen.wait_until_up();
    scene.start::<Plain>(vec![Order::that(Act::Waits("hook".to_owned())); runs]).await;
    scene.until_reached("hook", runs).await;
    let mut others = ["one", "two"].map(|name| scene.worker(name).lease(LEASE).spawn());
    others.iter_mut().for_each(Worker::wait_until_up);

    scene.freeze_outside_of_a_write(&frozen).await;
    let began = Instant::now();
    scene.release("hook");
    scene.until_all_ended(LONGEST, |_| {}).await;
    let took = began.elapsed();
    let longest = LEASE + Duration::from_secs(pick(20, 1));
    assert!(took < longest, "with a lease of {LEASE:?} it took {took:?}");

    frozen.wake();
    scene.until("its late answers are refused", || refused(&frozen) == runs).await;
    frozen.stop();
    others.iter_mut().for_each(Worker::stop);
    let counted = format!("stale={runs}");
    let log = frozen.log();
    assert!(log.iter().any(|line| line.is_above_debug() && line.text.contains(&counted)), "{log:#?}");
    assert_eq!(scene.runs(Status::Finished).await.len(), runs);
    check_effects(&scene.effects(), frozen.pid(), runs);
    say(&format!("{runs} runs of a frozen worker, lease {LEASE:?}: taken over and ended after {took:?}"));
}

/// How many times a worker was told that a run is not its own any more.
fn refused(worker: &Worker) -> usize {
    worker.log().iter().filter(|line| line.text.contains("has lost the run to another")).count()
}

/// The first step was called by the frozen worker alone, the third by another alone; the second by both.
fn check_effects(effects: &[Effect], frozen: u32, runs: usize) {
    let count = |step, does, by_frozen| {
        let is_it = |effect: &&Effect| {
            effect.step == step && effect.does == does && (effect.pid == frozen) == by_frozen
        };
        effects.iter().filter(is_it).count()
    };
    for does in [Does::Begins, Does::Finishes] {
        for (step, by_frozen, by_others) in [("First", runs, 0), ("Second", runs, runs), ("Third", 0, runs)] {
            let counts = (count(step, does, true), count(step, does, false));
            assert_eq!(counts, (by_frozen, by_others), "{step} {does:?}");
        }
    }
}
