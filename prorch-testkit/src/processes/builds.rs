//! Workers of an old and a new build of a program on one store.

use std::collections::BTreeSet;
use std::time::Duration;

use fastrand::Rng;
use prorch_core::repository::{Filter, RunId, Status};

use super::LONGEST;
use super::journal::{Does, Effect};
use super::pipelines::Changing;
use super::scene::Scene;
use super::steps::Order;
use super::tally::{Tally, assert_quiet};
use super::task::Build;
use super::worker::Worker;
use crate::soak::{chance, pick, say};

const LEASE: Duration = Duration::from_secs(1);
/// A kill comes at some moment within this time.
const WITHIN: Duration = Duration::from_millis(100);
/// Two workers of each.
const BUILDS: [Build; 4] = [Build::Old, Build::New, Build::Old, Build::New];

/// How the lists differ is told by the runs that each build starts.
struct Builds<'a> {
    scene: &'a Scene,
    workers: Vec<Worker>,
    killed: BTreeSet<u32>,
    /// The processes of the new build.
    new: BTreeSet<u32>,
}

impl<'a> Builds<'a> {
    fn start(scene: &'a Scene) -> Self {
        let mut builds = Self { scene, workers: Vec::new(), killed: BTreeSet::new(), new: BTreeSet::new() };
        for (number, build) in BUILDS.into_iter().enumerate() {
            let worker = builds.spawn(number, build);
            builds.workers.push(worker);
        }
        builds.workers.iter_mut().for_each(Worker::wait_until_up);
        builds
    }

    fn spawn(&mut self, number: usize, build: Build) -> Worker {
        let worker = self.scene.worker(&format!("{build:?}-{number}")).build(build);
        let worker = worker.lease(LEASE).concurrency(8).spawn();
        if build == Build::New {
            self.new.insert(worker.pid());
        }
        worker
    }

    /// Kills a worker at some moment; another one of the given build comes in its place.
    async fn kill(&mut self, number: usize, successor: Build, chance: &mut Rng) {
        let micros = chance.u64(..WITHIN.as_micros() as u64);
        tokio::time::sleep(Duration::from_micros(micros)).await;
        self.killed.insert(self.workers[number].pid());
        self.workers[number].kill();
        self.workers[number] = self.spawn(number, successor);
    }
}

/// Both builds start runs, and workers of both share them while they are killed. When half of the work is done the old
/// ones die for good, with runs in their hands: workers of the new build come in their place, and finish all.
pub async fn workers_of_an_old_and_a_new_build_lose_nothing_while_both_are_killed(scene: Scene) {
    let (each, kills) = (pick(100, 2_000), pick(4, 40));
    let mut chance = chance();
    let order = Order::default().working(Duration::from_millis(2));
    let old = start(&scene, Build::Old, each, &order).await;
    let new = start(&scene, Build::New, each, &order).await;
    let mut builds = Builds::start(&scene);
    let runs = 2 * each;
    for kill in 0..kills {
        // Spread over the first half of the work.
        until_done(&scene, runs, kill * each / kills).await;
        let number = kill % BUILDS.len();
        builds.kill(number, BUILDS[number], &mut chance).await;
    }
    until_done(&scene, runs, each).await;
    for number in [0, 2] {
        builds.kill(number, Build::New, &mut chance).await;
    }
    let took = scene.until_all_ended(LONGEST, |_| {}).await;
    builds.workers.iter_mut().for_each(Worker::stop);

    assert_eq!(scene.runs(Status::Finished).await.len(), runs);
    let effects = scene.effects();
    let of = |runs: &BTreeSet<RunId>| -> Vec<Effect> {
        effects.iter().filter(|effect| runs.contains(&effect.run)).cloned().collect()
    };
    let (of_old, of_new) = (of(&old), of(&new));
    for (effects, calls) in [(&of_old, Changing::OLD_CALLS), (&of_new, Changing::NEW_CALLS)] {
        let tally = Tally::of(effects, calls);
        tally.assert_complete(each);
        tally.assert_accounted(&builds.killed);
    }
    let adopted = adopted(&of_old, &builds.new);
    assert!(adopted > 0, "the new build went on with runs of the old one");
    assert_eq!(scene.runs(Status::Failed).await.len(), 0);
    assert_quiet(&scene);
    let again = Tally::of(&effects, &[]).finished() - each * (3 + 4);
    say(&format!(
        "{runs} runs of two builds, {} kills: the new build went on with {adopted} runs of the old one, {again} of a \
         finished step made again, the last {took:?} without an old worker",
        builds.killed.len()
    ));
}

/// A process of this build starts runs; says which.
async fn start(scene: &Scene, build: Build, runs: usize, order: &Order) -> BTreeSet<RunId> {
    let before = all(scene).await;
    let starter = scene.worker(&format!("starts-{build:?}")).build(build);
    let mut starter = starter.starting(runs, order.clone()).spawn();
    assert!(starter.wait(LONGEST).success(), "{}", starter.errors());
    all(scene).await.difference(&before).copied().collect()
}

async fn all(scene: &Scene) -> BTreeSet<RunId> {
    let filter = Filter::all().pipeline(Changing::NAME).limit(usize::MAX);
    let page = scene.orchestrator().search(&filter).await.expect("the store can be read");
    page.runs.into_iter().map(|run| run.id).collect()
}

async fn until_done(scene: &Scene, runs: usize, done: usize) {
    while runs - (scene.open_runs().await as usize) < done {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// How many runs of the old build had a step finished by the new one.
fn adopted(of_old: &[Effect], new: &BTreeSet<u32>) -> usize {
    let by_new = of_old.iter().filter(|effect| effect.does == Does::Finishes && new.contains(&effect.pid));
    by_new.map(|effect| effect.run).collect::<BTreeSet<_>>().len()
}
