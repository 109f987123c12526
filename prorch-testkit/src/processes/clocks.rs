//! Clocks that are an hour ahead, an hour behind, or jump.

use std::time::{Duration, Instant};

use super::LONGEST;
use super::journal::Does;
use super::pipelines::{Patient, Plain};
use super::scene::Scene;
use super::steps::{Act, Order};
use super::tally::Tally;
use super::task::Time;
use super::worker::Worker;
use crate::soak::{pick, say};

const HOUR: i64 = 3_600;
/// Short, so that calls take longer: each worker renews again and again while the others look on.
const LEASE: Duration = Duration::from_millis(1_500);
/// So long nothing takes that does not wait for a clock that is wrong.
const SOON: Duration = Duration::from_secs(60);

/// One process whose time of day jumps an hour forth and back while it works: nothing is called twice, and what waits for
/// a poll or a retry is called in time.
pub async fn a_clock_that_jumps_under_load_costs_no_lease(scene: Scene) {
    let runs = pick(100, 3_000);
    let mut worker = scene.worker("jumping").lease(LEASE).concurrency(32).time(Time::Jumping).spawn();
    worker.wait_until_up();
    scene.start::<Patient>(vec![Order::default().working(Duration::from_millis(20)); runs]).await;
    let took = scene.until_all_ended(SOON.max(LONGEST / 2), |_| {}).await;
    worker.stop();
    assert_undisturbed(&scene, runs, Patient::CALLS);
    say(&format!("{runs} runs with waits under a clock that jumps: {took:?}, nothing called twice"));
}

/// Four workers, one right, one an hour ahead, one an hour behind and one that jumps, share the runs; each call takes longer
/// than a lease, so that every run is there to be stolen.
pub async fn workers_whose_clocks_are_hours_apart_take_nothing_from_each_other(scene: Scene) {
    let runs = pick(48, 600);
    let clocks = [
        ("right", Time::Right),
        ("ahead", Time::WrongBy(HOUR)),
        ("behind", Time::WrongBy(-HOUR)),
        ("jumping", Time::Jumping),
    ];
    let mut workers =
        clocks.map(|(name, time)| scene.worker(name).lease(LEASE).concurrency(12).time(time).spawn());
    workers.iter_mut().for_each(Worker::wait_until_up);
    let order = Order::default().working(LEASE + LEASE / 3);
    scene.start::<Plain>(vec![order; runs]).await;
    let took = scene.until_all_ended(LONGEST, |_| {}).await;
    workers.iter_mut().for_each(Worker::stop);
    let busy = assert_undisturbed(&scene, runs, Plain::CALLS);
    assert_eq!(busy, clocks.len(), "all took part");
    say(&format!(
        "{runs} runs in four workers with clocks hours apart: {took:?}, none was taken from another"
    ));
}

/// A process an hour ahead starts runs, and one an hour behind does; one whose clock is right does them at once.
pub async fn what_a_process_with_a_wrong_clock_started_is_done_by_one_whose_clock_is_right(scene: Scene) {
    started_by_and_done_by(&scene, &[Time::WrongBy(HOUR), Time::WrongBy(-HOUR)], Time::Right).await;
}

/// And the other way round.
pub async fn what_a_process_whose_clock_is_right_started_is_done_by_one_whose_clock_is_wrong(scene: Scene) {
    started_by_and_done_by(&scene, &[Time::Right, Time::WrongBy(HOUR)], Time::WrongBy(-HOUR)).await;
}

async fn started_by_and_done_by(scene: &Scene, starters: &[Time], worker: Time) {
    const EACH: usize = 20;
    let mut worker = scene.worker("worker").lease(LEASE).time(worker).spawn();
    worker.wait_until_up();
    let began = Instant::now();
    for (number, time) in starters.iter().enumerate() {
        let starter = scene.worker(&format!("starter-{number}")).time(*time);
        let mut starter = starter.starting(EACH, Order::default()).spawn();
        assert!(starter.wait(SOON).success(), "{}", starter.errors());
    }
    scene.until_all_ended(SOON, |_| {}).await;
    worker.stop();
    assert_undisturbed(scene, starters.len() * EACH, Plain::CALLS);
    say(&format!("runs started by {starters:?}: done after {:?}", began.elapsed()));
}

/// A worker whose clock is wrong dies with runs in its hands; one whose clock is right takes them over, after their lease.
pub async fn the_runs_of_a_dead_worker_are_taken_over_whatever_its_clock_said(scene: Scene) {
    const RUNS: usize = 8;
    for (hook, hours) in [("ahead", 1), ("behind", -1)] {
        let mut dies = scene.worker(hook).lease(LEASE).time(Time::WrongBy(hours * HOUR)).spawn();
        dies.wait_until_up();
        scene.start::<Plain>(vec![Order::that(Act::Waits(hook.to_owned())); RUNS]).await;
        scene.until_reached(hook, RUNS).await;
        let mut right = scene.worker("right").lease(LEASE).spawn();
        right.wait_until_up();
        tokio::time::sleep(LEASE * 2).await;
        assert_eq!(scene.until_reached(hook, RUNS).await.len(), RUNS, "it lives, and renews its leases");
        dies.kill();
        let died = Instant::now();
        scene.release(hook);
        scene.until_all_ended(SOON, |_| {}).await;
        let took = died.elapsed();
        right.stop();
        assert!(took < LEASE + Duration::from_secs(pick(20, 2)), "{hook}: {took:?}");
        say(&format!(
            "a worker an hour {hook} died: its runs were done {took:?} later, with a lease of {LEASE:?}"
        ));
    }
}

/// Every call was made once and in order, and no worker lost a lease. Says how many processes took part.
fn assert_undisturbed(scene: &Scene, runs: usize, calls: &[(&str, u32)]) -> usize {
    let effects = scene.effects();
    let tally = Tally::of(&effects, calls);
    tally.assert_undisturbed(runs);
    assert_eq!(tally.count(Does::Begins), effects.len() / 2, "each call that began has ended");
    let lost: Vec<_> =
        scene.logs().into_iter().filter(|(_, line)| line.text.contains("lost the run")).collect();
    assert!(lost.is_empty(), "{lost:#?}");
    tally.processes()
}
