//! Steps that note that they were called, and a scene with an old and a new program on one repository.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prorch::prelude::*;
use prorch::repository::{MemoryRepository, Repository, RunId, Status, StoredRun};
use prorch::{OrchestratorBuilder, PassReport, Pipeline};
use prorch_testkit::ManualClock;

/// More than the time for which a run must have been due.
pub(crate) const LATER: Duration = Duration::from_secs(10);

/// What reached the world outside, and whether the gate is open at which a run waits.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    calls: Arc<Mutex<Vec<String>>>,
    is_open: Arc<AtomicBool>,
}

impl World {
    pub(crate) fn note(&self, what: &str, cx: &StepContext) {
        let key = cx.idempotency_key().to_string();
        let name = key.split(':').next_back().unwrap_or_default();
        let is_its_own = name.strip_prefix(what).is_some_and(|item| item.is_empty() || item.starts_with('['));
        self.calls().push(if is_its_own { name.to_owned() } else { format!("{what} as {name}") });
    }

    fn calls(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn open(&self) {
        self.is_open.store(true, Ordering::SeqCst);
    }

    pub(crate) fn close(&self) {
        self.is_open.store(false, Ordering::SeqCst);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::SeqCst)
    }

    pub(crate) fn told(&self) -> Vec<String> {
        self.calls().clone()
    }
}

macro_rules! adds_one {
    ($($name:ident)*) => {$(
        #[step]
        pub(crate) async fn $name(number: u64, world: &World, cx: &StepContext) -> StepResult<u64> {
            world.note(stringify!($name), cx);
            finish(number + 1)
        }
    )*};
}

adds_one! { a b c d renamed }

/// Waits until the gate is open: where a run stands when the program is replaced. It counts how often it was asked.
#[step(poll = "1s", resources(World))]
pub(crate) struct Hold {
    asked: u64,
}

impl Step for Hold {
    type Input = u64;
    type Output = u64;

    async fn on_start(&mut self, _: &u64, _: &StepContext) -> StepResult<u64> {
        self.asked += 1;
        pending_for(Duration::from_secs(1))
    }

    async fn on_continue(&mut self, number: &u64, cx: &StepContext) -> StepResult<u64> {
        let world = cx.resource::<World>()?;
        self.asked += 1;
        if !world.is_open() {
            return pending();
        }
        world.note("Hold", cx);
        finish(number + 100 * self.asked.min(2))
    }
}

/// An old and a new program.
pub(crate) struct Scene {
    new_builder: Box<dyn Fn() -> OrchestratorBuilder>,
    pub(crate) clock: ManualClock,
    pub(crate) world: World,
}

/// How a run ended that the old program began.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) stored: StoredRun,
    pub(crate) calls: Vec<String>,
    pub(crate) left: Vec<String>,
}

impl End {
    /// It finished with this output, after these calls.
    pub(crate) fn finished(&self, output: &str, calls: &[&str]) {
        assert_eq!(self.stored.run.status(), Status::Finished, "{self:#?}");
        assert_eq!(self.stored.run.state.output.as_deref(), Some(output), "{self:#?}");
        assert_eq!(self.calls, calls);
        assert_eq!(self.left, [""; 0]);
    }

    /// It was left as it was after these calls, and named with what differs.
    pub(crate) fn is_left(&self, calls: &[&str], why: &[&str]) {
        assert_eq!(self.stored.run.status(), Status::Pending, "{self:#?}");
        assert_eq!(self.stored.run.state.stuck, None);
        assert_eq!(self.calls, calls);
        let [left] = &self.left[..] else { panic!("it is named once: {self:#?}") };
        for part in why {
            assert!(left.contains(part), "{left}");
        }
    }
}

impl Scene {
    pub(crate) fn new(repository: impl Repository + Clone) -> Self {
        let new_builder = Box::new(move || Orchestrator::builder(repository.clone()));
        Self { new_builder, clock: ManualClock::default(), world: World::default() }
    }

    /// A program that knows this pipeline.
    pub(crate) fn program<P: Pipeline>(&self) -> Orchestrator {
        self.builder().pipeline::<P>().build().unwrap()
    }

    pub(crate) fn builder(&self) -> OrchestratorBuilder {
        (self.new_builder)().clock(self.clock.clone()).resource(self.world.clone())
    }

    /// The old program starts a run and goes on with it as far as the gate.
    pub(crate) async fn begin<Old: Pipeline<Input: Default>>(&self, input: Old::Input) -> RunId {
        let old = self.program::<Old>();
        let run = old.start::<Old>(input).await.unwrap().id();
        self.passes(&old, run, 3).await;
        let stored = old.get(run).await.unwrap().unwrap();
        assert!(!stored.run.status().is_terminal(), "it stands at the gate: {stored:#?}");
        self.world.open();
        run
    }

    /// So many passes of a program, with time between them; what the last one left.
    async fn passes(&self, program: &Orchestrator, run: RunId, passes: u32) -> PassReport {
        let mut report = PassReport::default();
        for _ in 0..passes {
            self.clock.advance(LATER);
            report = program.execute_pipelines().await.unwrap();
        }
        report.left.retain(|left| left.id == run);
        report
    }

    /// The new program makes passes.
    pub(crate) async fn go_on(&self, new: &Orchestrator, run: RunId) -> End {
        let report = self.passes(new, run, 6).await;
        let stored = new.get(run).await.unwrap().unwrap();
        let left = report.left.into_iter().map(|left| left.why.to_string()).collect();
        End { stored, calls: self.world.told(), left }
    }
}

/// How a run ends that `Old` began and that `New` goes on with, on every kind of repository.
pub(crate) async fn replaced<Old: Pipeline<Input: Default>, New: Pipeline>(check: impl Fn(&End)) {
    on_each(async |scene| {
        let run = scene.begin::<Old>(Old::Input::default()).await;
        check(&scene.go_on(&scene.program::<New>(), run).await);
    })
    .await;
}

/// Plays the scene on each kind of repository.
pub(crate) async fn on_each(play: impl AsyncFn(Scene)) {
    play(Scene::new(MemoryRepository::new())).await;
    #[cfg(feature = "sqlite")]
    {
        let directory = tempfile::tempdir().unwrap();
        play(Scene::new(SqliteRepository::open(directory.path().join("runs.db")).unwrap())).await;
    }
}
