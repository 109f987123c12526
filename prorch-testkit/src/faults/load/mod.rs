//! Several workers on one store, with runs of every kind, somebody who starts and tells them, and faults at every tenth
//! call of each.

mod drive;
mod steps;
mod witness;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use prorch_core::clock::ManualClock;
use prorch_core::error::Error;
use prorch_core::model::{Part, Position, RunId, Status, StoredRun, Text};
use prorch_core::orchestrator::Orchestrator;
use prorch_core::repository::Repository;
use tokio::sync::watch;

use self::steps::{Kind, Mixed, kind, output, signal};
use self::witness::Witness;
use super::{Fault, FaultyRepository, Odds};
use crate::soak;
use crate::spy::SpyRepository;

/// How many workers share the store.
const WORKERS: usize = 3;

/// Everything that has the store.
struct Load<R> {
    store: Arc<SpyRepository<R>>,
    witness: Arc<Witness>,
    clock: ManualClock,
    /// The store as each worker has it, and, last, as the one has it who starts runs and tells them things.
    faulty: Vec<FaultyRepository<SpyRepository<R>>>,
    orchestrators: Vec<Orchestrator>,
}

impl<R: Repository> Load<R> {
    fn new(repository: R, seed: u64) -> Self {
        let witness = Arc::new(Witness::default());
        let notes = witness.clone();
        // It stands within the faults, so that it also sees what takes effect without an answer.
        let store = Arc::new(SpyRepository::new(repository, move |seen| notes.saw(seen)));
        let clock = ManualClock::default();
        let odds = (0..=WORKERS as u64).map(|worker| Odds::one_in_ten(seed.wrapping_add(worker)));
        let faulty: Vec<_> = odds.map(|odds| FaultyRepository::with_odds(store.clone(), odds)).collect();
        let orchestrator = |repository: &FaultyRepository<_>| {
            Orchestrator::builder(repository.clone())
                .clock(clock.clone())
                .resource(witness.clone())
                .pipeline::<Mixed>()
                .build()
                .expect("the orchestrator can be built")
        };
        let orchestrators = faulty.iter().map(orchestrator).collect();
        Self { store, witness, clock, faulty, orchestrators }
    }

    fn poster(&self) -> &Orchestrator {
        &self.orchestrators[WORKERS]
    }

    /// Starts the run with this number, by a key; some of them twice.
    async fn start(&self, number: u64) -> RunId {
        let key = format!("order-{number}");
        let start = || self.poster().start::<Mixed>(number).key(&key).priority((number % 10) as u8);
        let run = start().await.expect("a start waits out what passes").id();
        if number.is_multiple_of(7) {
            let again = start().await.expect("a start waits out what passes");
            assert_eq!((again.id(), again.is_new()), (run, false), "two starts with one key make one run");
        }
        run
    }

    /// Tells a run what it waits for.
    async fn tell(&self, number: u64, run: RunId) {
        let told = match kind(number) {
            Kind::Listening => self.poster().signal(run, "go", signal(number)).await,
            Kind::Cancelled => self.poster().cancel(run, "not wanted").await.map(drop),
            Kind::Quick | Kind::Polled | Kind::Erring => Ok(()),
        };
        match told {
            Ok(()) => {}
            // It may have ended by what was just said, in a write whose answer was lost.
            Err(Error::Store(error)) if error.is_ambiguous() => {}
            Err(error) => panic!("{:?} run {number} is told: {error}", kind(number)),
        }
    }

    /// Starts all runs and tells them what they wait for, while the workers work on them.
    async fn post(&self, runs: u64) -> BTreeMap<u64, RunId> {
        let mut started = BTreeMap::new();
        for number in 0..runs {
            started.insert(number, self.start(number).await);
            if let Some(earlier) = number.checked_sub(10) {
                self.tell(earlier, started[&earlier]).await;
            }
        }
        for (number, run) in started.range(runs.saturating_sub(10)..) {
            self.tell(*number, *run).await;
        }
        started
    }

    async fn stored(&self, run: RunId) -> StoredRun {
        let all = Part::Records { from: Position::default(), limit: 100 };
        self.store.get(run, all).await.expect("the store itself can be read").expect("the run is there")
    }

    /// The run ended as it should, by what is stored of it and what its steps did.
    fn check(&self, number: u64, stored: &StoredRun) {
        let (run, kind) = (&stored.run, kind(number));
        let expected = if kind == Kind::Cancelled { Status::Cancelled } else { Status::Finished };
        assert_eq!(run.status(), expected, "{kind:?} run {number}: {stored:#?}");
        if kind == Kind::Cancelled {
            return;
        }
        assert_eq!(run.state.output, Some(Text::from(output(number).to_string())), "{kind:?} run {number}");
        for record in stored.records.values() {
            assert_eq!(record.status, Status::Finished, "{kind:?} run {number}: {stored:#?}");
        }
        for (step, fewest) in [("Take", 1), ("Work", fewest(kind)), ("Deliver", 1)] {
            let calls = self.witness.calls(run.id, step);
            assert!(calls >= fewest, "{step} of {kind:?} run {number} was called {calls} times");
        }
    }
}

/// How often the second step is called at the least.
fn fewest(kind: Kind) -> u32 {
    match kind {
        Kind::Quick | Kind::Cancelled => 1,
        Kind::Polled => 4,
        Kind::Erring => 3,
        Kind::Listening => 2,
    }
}

/// The case: under faults at every tenth call of several workers, and of who starts runs and tells them things, all runs
/// end as they should.
///
/// # Panics
///
/// When one does not, when a call is made after its step's end was committed, or when a worker ends.
pub async fn every_run_ends_as_it_should<R: Repository>(repository: R) {
    let mut chance = soak::chance();
    let runs = soak::pick(200, 2_000);
    let load = Arc::new(Load::new(repository, chance.u64(..)));
    let began = Instant::now();
    let (stop, _) = watch::channel(false);
    let workers: Vec<_> = load.orchestrators[..WORKERS]
        .iter()
        .map(|orchestrator| {
            let (orchestrator, mut stopped) = (orchestrator.clone(), stop.subscribe());
            tokio::spawn(async move { orchestrator.run_until(stopped.wait_for(|stop| *stop)).await })
        })
        .collect();
    let poster = tokio::spawn({
        let load = load.clone();
        async move { load.post(runs).await }
    });
    drive::until_all_ended(&load, &poster, &workers).await;
    let started = poster.await.expect("who starts the runs does not panic");
    stop.send_replace(true);
    for worker in workers {
        worker.await.expect("no worker panics").expect("no worker ends by an error that passes");
    }
    check_all(&load, &started).await;
    report(&load, runs, began);
}

/// Each run ended as it should, and what arrives after that changes nothing.
async fn check_all<R: Repository>(load: &Load<R>, started: &BTreeMap<u64, RunId>) {
    let mut before = Vec::new();
    for (number, run) in started {
        let stored = load.stored(*run).await;
        load.check(*number, &stored);
        before.push(stored);
    }
    for faulty in &load.faulty {
        faulty.settle().await;
    }
    for stored in before {
        assert_eq!(load.stored(stored.run.id).await, stored, "a late write changed a run that had ended");
    }
    assert_eq!(load.witness.too_late(), Vec::<String>::new(), "called after its end was committed");
}

fn report<R: Repository>(load: &Load<R>, runs: u64, began: Instant) {
    let mut happened: BTreeMap<Fault, u64> = BTreeMap::new();
    for (fault, count) in load.faulty.iter().flat_map(FaultyRepository::happened) {
        *happened.entry(fault).or_default() += count;
    }
    let calls: u64 = load.faulty.iter().map(FaultyRepository::calls).sum();
    assert!(happened.values().sum::<u64>() * 20 > calls, "{happened:?} in {calls} calls is not one in ten");
    assert!(
        !soak::is_long() || happened.len() == Fault::PASSING.len(),
        "not every fault happened: {happened:?}"
    );
    let (steps, took) = (load.witness.total(), began.elapsed());
    soak::say(&format!(
        "{runs} runs, {steps} calls of steps, {calls} calls of the store with faults {happened:?}, in {took:.1?}"
    ));
}
