//! A worker is cut off at every write that it makes for runs that are asked together. What was committed is never asked
//! again, what was not is asked again once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prorch::prelude::*;
use prorch::repository::{MemoryRepository, Position, Repository, Status, StoredRun};
use prorch_testkit::crash_sweep;
use prorch_testkit::faults::Fault;
use prorch_testkit::sweep::Swept;

/// What can be done for a job, and for which.
type What = (&'static str, u64);
type Counts = BTreeMap<What, u32>;

/// What reached the world outside, and what of it had when the last worker began.
#[derive(Clone, Debug, Default)]
struct World(Arc<Mutex<(Counts, Counts)>>);

impl World {
    fn with<T>(&self, work: impl FnOnce(&mut (Counts, Counts)) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn does(&self, what: &'static str, job: u64) {
        self.with(|(now, _)| *now.entry((what, job)).or_default() += 1);
    }

    fn a_worker_begins(&self) {
        self.with(|(now, before)| before.clone_from(now));
    }
}

/// A job is submitted, looked at twice, and done.
#[step(poll = "10s")]
struct Render {
    looked: u32,
}

impl Step for Render {
    type Input = u64;
    type Output = u64;

    async fn on_start(&mut self, job: &u64, cx: &StepContext) -> StepResult<u64> {
        cx.resource::<World>()?.does("submit", *job);
        pending_for(Duration::from_secs(1))
    }

    async fn on_continue_many(waiting: &mut [Waiting<'_, Self>], cx: &BatchContext) -> Result<(), StepError> {
        for one in waiting.iter_mut() {
            let looked = ["look", "look again"][one.step.looked as usize];
            cx.resource::<World>()?.does(looked, *one.input);
            one.step.looked += 1;
            one.settle(if one.step.looked < 2 { pending() } else { finish(*one.input) });
        }
        Ok(())
    }
}

#[step]
async fn scenes(number: u64) -> StepResult<Vec<u64>> {
    finish((number * 10..number * 10 + 3).collect())
}

#[step]
async fn cut(scenes: Vec<u64>, world: &World) -> StepResult<u64> {
    let sum = scenes.into_iter().sum();
    world.does("cut", sum);
    finish(sum)
}

/// Three jobs of each film are in one call with those of the others.
#[pipeline(steps = [scenes, each(Render), cut])]
struct Film;

const FILMS: [u64; 3] = [1, 2, 3];

/// How far a job had come when the worker died: what was done of it for good.
fn done_for_good(at_death: &[StoredRun], film: u64, item: u32) -> Vec<&'static str> {
    let input = film.to_string();
    let stored = at_death.iter().find(|stored| *stored.run.input == *input);
    let record = stored.and_then(|stored| stored.records.get(&Position { stage: 1, item }));
    let Some(record) = record else { return Vec::new() };
    match (record.status, record.state.as_deref()) {
        (Status::Finished, _) => vec!["submit", "look", "look again"],
        (Status::Pending, Some(r#"{"looked":1}"#)) => vec!["submit", "look"],
        (Status::Pending, _) => vec!["submit"],
        _ => Vec::new(),
    }
}

/// How often each must have been done: what was done before the worker died, and what was to do then.
fn expected(swept: &Swept, before: &Counts) -> Counts {
    let at_death = swept.at_death.as_deref().unwrap_or_default();
    let mut counts = Counts::new();
    for film in FILMS {
        for item in 0..3 {
            let (job, done) = (film * 10 + u64::from(item), done_for_good(at_death, film, item));
            for what in ["submit", "look", "look again"] {
                let earlier = before.get(&(what, job)).copied().unwrap_or_default();
                counts.insert((what, job), earlier + u32::from(!done.contains(&what)));
            }
        }
        let sum = film * 30 + 3;
        let is_cut = at_death
            .iter()
            .any(|stored| *stored.run.input == *film.to_string() && stored.run.status() == Status::Finished);
        let earlier = before.get(&("cut", sum)).copied().unwrap_or_default();
        counts.insert(("cut", sum), earlier + u32::from(!is_cut));
    }
    counts
}

/// Checks what came of a fault, and says whether something was done again because of it.
fn check(swept: &Swept, world: &World) -> bool {
    let what = format!("{:?} at write {}", swept.fault, swept.write);
    let (now, before) = world.with(std::mem::take);
    assert_eq!(now, expected(swept, &before), "{what}: {swept:#?}");
    assert_eq!(swept.stored.len(), FILMS.len(), "{what}");
    for stored in &swept.stored {
        assert_eq!(stored.run.status(), Status::Finished, "{what}: {stored:#?}");
    }
    assert_eq!(swept.at_death.is_some(), swept.fault.kills() && swept.happened, "{what}");
    now.values().any(|count| *count > 1)
}

async fn sweep<R: Repository>(open: impl AsyncFn() -> R) {
    let world = World::default();
    let mut seen: BTreeMap<Fault, (u32, u32)> = BTreeMap::new();
    let setup = |builder: prorch::OrchestratorBuilder| {
        world.a_worker_begins();
        builder.resource(world.clone())
    };
    crash_sweep::<Film, R>(open, FILMS.to_vec(), setup, |swept| {
        let again = check(swept, &world);
        let (happened, repeated) = seen.entry(swept.fault).or_default();
        *happened += u32::from(swept.happened);
        *repeated += u32::from(again);
    })
    .await;
    for (fault, (happened, again)) in &seen {
        // Three saves, the lists, and three rounds of calls; within a write nobody dies that has no middle.
        let at_least = if *fault == Fault::DiesBetween { 0 } else { 8 };
        assert!(*happened >= at_least, "{fault:?} happened {happened} times");
        assert!(fault.kills() || *again == 0, "{fault:?} made {again} calls be made again");
    }
    assert!(seen[&Fault::DiesBefore].1 > 0, "answers were lost: {seen:?}");
}

#[tokio::test]
async fn every_crash_on_the_memory_repository() {
    sweep(async || MemoryRepository::new()).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn every_crash_on_sqlite() {
    sweep(async || SqliteRepository::open_in_memory().expect("opens")).await;
}
