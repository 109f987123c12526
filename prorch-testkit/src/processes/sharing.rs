//! Several workers that nobody disturbs.

use std::time::Duration;

use super::LONGEST;
use super::journal::Does;
use super::pipelines::Plain;
use super::scene::Scene;
use super::steps::Order;
use super::tally::{Tally, assert_quiet};
use super::worker::Worker;
use crate::soak::{pick, say};

/// Two workers make every effect of every step once, and neither they nor the test hear of the other's locks.
pub async fn two_workers_make_every_effect_once(scene: Scene) {
    let runs = pick(200, 2_000);
    let mut workers = ["one", "two"].map(|name| scene.worker(name).concurrency(16).spawn());
    workers.iter_mut().for_each(Worker::wait_until_up);
    // So that neither has its places free all the time: then both find something.
    let order = Order::default().working(Duration::from_millis(5));
    scene.start::<Plain>(vec![order; runs]).await;
    let took = scene.until_all_ended(LONGEST, |_| {}).await;
    workers.iter_mut().for_each(Worker::stop);
    let effects = scene.effects();
    let tally = Tally::of(&effects, Plain::CALLS);
    tally.assert_undisturbed(runs);
    assert_eq!((tally.count(Does::Begins), tally.finished()), (3 * runs, 3 * runs));
    assert_eq!(tally.processes(), 2, "both took part");
    assert_quiet(&scene);
    say(&format!("{runs} runs of 3 steps in two processes: {} effects in {took:?}", tally.finished()));
}
