//! Workers that are killed at random moments.

use std::collections::BTreeSet;
use std::time::Duration;

use fastrand::Rng;
use prorch_core::repository::{RunId, Status};

use super::LONGEST;
use super::journal::Does;
use super::pipelines::Patient;
use super::scene::Scene;
use super::steps::Order;
use super::tally::{Tally, assert_quiet};
use super::worker::Worker;
use crate::soak::{chance, pick, say};

const LEASE: Duration = Duration::from_secs(2);
/// A kill comes at some moment within this time.
const WITHIN: Duration = Duration::from_millis(100);

/// Three workers that are killed again and again, and the runs that had ended at each kill.
struct Victims<'a> {
    scene: &'a Scene,
    workers: Vec<Worker>,
    killed: BTreeSet<u32>,
    /// Runs that had ended, with how many effects there were by then.
    ended: Vec<(Vec<RunId>, usize)>,
}

impl<'a> Victims<'a> {
    fn new(scene: &'a Scene) -> Self {
        let workers = (0..3).map(|number| worker(scene, number)).collect();
        Self { scene, workers, killed: BTreeSet::new(), ended: Vec::new() }
    }

    async fn kill_one(&mut self, chance: &mut Rng) {
        let micros = chance.u64(..WITHIN.as_micros() as u64);
        tokio::time::sleep(Duration::from_micros(micros)).await;
        let number = chance.usize(..self.workers.len());
        self.killed.insert(self.workers[number].pid());
        self.workers[number].kill();
        // First the store, then the journal: what it says beyond is later than the ends.
        let ended = self.scene.runs(Status::Finished).await.into_iter().map(|run| run.id).collect();
        self.ended.push((ended, self.scene.effects().len()));
        self.workers[number] = worker(self.scene, number);
    }
}

fn worker(scene: &Scene, number: usize) -> Worker {
    scene.worker(&format!("worker-{number}")).lease(LEASE).concurrency(8).spawn()
}

/// Each run ends as it should, each step of it is finished once, and whatever was done twice was done by a process that was
/// killed before it could commit.
pub async fn nothing_is_lost_and_nothing_made_again_whenever_workers_are_killed(scene: Scene) {
    let (runs, kills) = (pick(300, 5_000), pick(6, 60));
    let mut chance = chance();
    let mut victims = Victims::new(&scene);
    let order = Order::default().working(Duration::from_millis(1));
    scene.start::<Patient>(vec![order; runs]).await;
    while victims.killed.len() < kills {
        // Kills are spread over the work: the next one is due when so much of it is done.
        let done = runs - scene.open_runs().await as usize;
        if done * kills >= victims.killed.len() * runs {
            victims.kill_one(&mut chance).await;
        }
    }
    scene.until_all_ended(LONGEST, |_| {}).await;
    victims.workers.iter_mut().for_each(Worker::stop);

    assert_eq!(scene.runs(Status::Finished).await.len(), runs);
    let effects = scene.effects();
    let tally = Tally::of(&effects, Patient::CALLS);
    tally.assert_complete(runs);
    tally.assert_accounted(&victims.killed);
    for (ended, before) in &victims.ended {
        let ended: BTreeSet<&RunId> = ended.iter().collect();
        let late = effects[*before..].iter().find(|effect| ended.contains(&effect.run));
        assert_eq!(late, None, "an effect after the end of its run");
    }
    assert_quiet(&scene);
    let again = tally.finished() - 3 * runs;
    let begun = tally.count(Does::Begins);
    let cut = begun - (effects.len() - begun);
    say(&format!(
        "{kills} kills over {runs} runs: {} effects, {again} of a finished step made again, {cut} calls cut off",
        effects.len()
    ));
}
