//! The pipelines that are removed here, and what of them is stored.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prorch::prelude::*;
use prorch::repository::{Filter, MemoryRepository, Part, Position, Repository, RunId, StoredRun};
use prorch::{OrchestratorBuilder, PruneReport, Retention};
use prorch_testkit::ManualClock;

/// Runs that ended longer ago than this are to go.
pub(crate) const AGE: Duration = Duration::from_secs(3_600);

/// How often each step was called.
#[derive(Clone, Debug, Default)]
pub(crate) struct World(Arc<Mutex<BTreeMap<String, u32>>>);

impl World {
    fn does(&self, cx: &StepContext) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *calls.entry(cx.step_name().to_owned()).or_default() += 1;
    }

    pub(crate) fn calls(&self, step: &str) -> u32 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(step).copied().unwrap_or_default()
    }
}

#[step]
pub(crate) async fn double(number: u32, world: &World, cx: &StepContext) -> StepResult<u32> {
    world.does(cx);
    finish(number * 2)
}

#[step]
pub(crate) async fn up_to(number: u32) -> StepResult<Vec<u32>> {
    finish((1..=number).collect())
}

#[step]
pub(crate) async fn total(numbers: Vec<u32>) -> StepResult<u32> {
    finish(numbers.iter().sum())
}

/// Waits for a signal, and hands on what it got.
#[step]
pub(crate) async fn signed(number: u32, cx: &StepContext) -> StepResult<u32> {
    match cx.signal::<bool>("go")? {
        Some(true) => finish(number),
        Some(false) => fail("not signed"),
        None => wait_for_signal("go", None),
    }
}

#[pipeline(steps = [double])]
pub(crate) struct Leaf;

#[pipeline(steps = [double, double])]
pub(crate) struct Other;

/// A run with a run.
#[pipeline(steps = [run(Leaf)])]
pub(crate) struct Branch;

/// A run with several runs that have each a run.
#[pipeline(steps = [up_to, each(run(Branch)), total])]
pub(crate) struct Tree;

/// A run with a run that has ended, which may go on.
#[pipeline(steps = [run(Branch), signed])]
pub(crate) struct Waiting;

/// A run with a run that may go on.
#[pipeline(steps = [signed])]
pub(crate) struct Signed;

#[pipeline(steps = [run(Signed), double])]
pub(crate) struct Above;

#[pipeline(steps = [run(Leaf), double, signed])]
pub(crate) struct Chain;

/// An orchestrator with a clock that the test moves.
pub(crate) struct Scene {
    pub(crate) orchestrator: Orchestrator,
    pub(crate) clock: ManualClock,
    pub(crate) world: World,
}

impl Scene {
    pub(crate) fn new(repository: impl Repository) -> Self {
        let (clock, world) = (ManualClock::default(), World::default());
        let orchestrator = build(Orchestrator::builder(repository), &clock, &world);
        Self { orchestrator, clock, world }
    }

    /// The same store and time, seen by another worker.
    pub(crate) fn beside(&self, repository: impl Repository) -> Orchestrator {
        build(Orchestrator::builder(repository), &self.clock, &self.world)
    }

    pub(crate) async fn start<P: Pipeline>(&self, input: P::Input) -> RunId {
        self.orchestrator.start::<P>(input).await.unwrap().id()
    }

    /// Makes passes until nothing is done any more.
    pub(crate) async fn work(&self) {
        while self.orchestrator.execute_pipelines().await.unwrap().claimed > 0 {}
    }

    /// Lets all that has ended become old enough.
    pub(crate) fn grow_old(&self) {
        self.clock.advance(AGE + Duration::from_secs(1));
    }

    pub(crate) async fn prune(&self) -> PruneReport {
        self.orchestrator.prune(old()).await.unwrap()
    }

    pub(crate) async fn is_there(&self, run: RunId) -> bool {
        self.orchestrator.get(run).await.unwrap().is_some()
    }

    pub(crate) async fn count(&self) -> usize {
        all(&self.orchestrator).await.len()
    }
}

pub(crate) fn build(builder: OrchestratorBuilder, clock: &ManualClock, world: &World) -> Orchestrator {
    let builder = builder.clock(clock.clone()).resource(world.clone());
    let builder = builder.pipeline::<Leaf>().pipeline::<Other>().pipeline::<Branch>().pipeline::<Tree>();
    let builder = builder.pipeline::<Waiting>().pipeline::<Signed>().pipeline::<Above>().pipeline::<Chain>();
    builder.build().unwrap()
}

pub(crate) fn old() -> Retention {
    Retention::new().older_than(AGE)
}

/// All runs that are stored, with their records.
pub(crate) async fn all(orchestrator: &Orchestrator) -> BTreeMap<RunId, StoredRun> {
    let mut found = BTreeMap::new();
    for run in orchestrator.search(&Filter::all().limit(10_000)).await.unwrap().runs {
        found.insert(run.id, orchestrator.get(run.id).await.unwrap().unwrap());
    }
    found
}

/// A run with so many records that it goes in pieces, which has ended.
pub(crate) async fn large(repository: &impl Repository, records: u32, clock: &ManualClock) -> RunId {
    use prorch::repository::{
        Guard, Hold, Lease, NewRun, RunState, Status, StepRecord, Text, Update, WorkerId, definition_key,
    };
    use prorch::testing::Clock;
    let (id, now) = (RunId::from_bytes([9; 16]), clock.now());
    let places = (0..records).map(|item| Position { stage: 0, item });
    let records = places
        .map(|at| StepRecord { status: Status::Finished, ..StepRecord::new(at, Text::from("item"), now) });
    let new = NewRun::new(id, definition_key("large", ["item"]), Text::from("1"), now);
    repository.save(vec![NewRun { records: records.collect(), ..new }]).await.unwrap();
    let row = repository.get(id, Part::Row).await.unwrap().unwrap().run;
    let lease = Lease::new(WorkerId::from_bytes([1; 16]), now, Duration::from_secs(30));
    let state = RunState { status: Status::Finished, ended_at: Some(now), ..row.state.clone() };
    let claim = row.claim(lease, now);
    let end = Update {
        state: Some(RunState { output: Some(Text::from("1")), ..state }),
        ..Update::new(id, Guard::Held(row.epoch.next(), lease.holder), Hold::Keep, now)
    };
    repository.update([claim, end].into()).await.unwrap();
    id
}

/// Does the test on each kind of repository.
pub(crate) async fn everywhere(test: impl AsyncFn(Scene)) {
    test(Scene::new(MemoryRepository::new())).await;
    test(Scene::new(SqliteRepository::open_in_memory().unwrap())).await;
}
