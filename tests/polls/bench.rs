//! Jobs in a world that a test tells how to behave.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prorch::prelude::*;
use prorch::repository::{Filter, Part, Repository, Run, Status, StepRecord, StoredRun};
use prorch::testing::ManualClock;
use prorch::{PassReport, RunId};
use tokio::sync::watch;

/// How a call for several jobs ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {
    Returns,
    Errs,
    CannotBeDone,
    Panics,
    Hangs,
    /// It returns when the test lets it.
    Waits,
}

/// What is said of one job.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Job {
    Done,
    /// It is asked again after so many seconds.
    Later(u64),
    Fails,
    Errs,
    /// It is not settled.
    Unknown,
}

/// The world outside, as a test has it.
#[derive(Clone)]
pub(crate) struct World(Arc<Inside>);

/// What a call for these jobs comes to.
type CallFn = Box<dyn Fn(&[u64]) -> Call + Send + Sync>;

struct Inside {
    call: CallFn,
    job: Box<dyn Fn(u64) -> Job + Send + Sync>,
    seen: Mutex<Seen>,
    waiting: watch::Sender<u32>,
    open: watch::Sender<bool>,
}

/// What the world was asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// The jobs of each call for several, in order.
    pub(crate) together: Vec<Vec<u64>>,
    /// Those that were asked by `on_continue`.
    pub(crate) alone: Vec<u64>,
}

impl Seen {
    /// How many jobs each call had, the largest first.
    pub(crate) fn sizes(&self) -> Vec<usize> {
        let mut sizes: Vec<usize> = self.together.iter().map(Vec::len).collect();
        sizes.sort_unstable_by(|one, other| other.cmp(one));
        sizes
    }
}

impl World {
    /// A call ends as `call` says, and what it says of each job is said by `job`.
    pub(crate) fn new(
        call: impl Fn(&[u64]) -> Call + Send + Sync + 'static,
        job: impl Fn(u64) -> Job + Send + Sync + 'static,
    ) -> Self {
        let (call, job) = (Box::new(call), Box::new(job));
        let (waiting, open) = (watch::Sender::new(0), watch::Sender::new(false));
        Self(Arc::new(Inside { call, job, seen: Mutex::default(), waiting, open }))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Seen) -> T) -> T {
        work(&mut self.0.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What was asked since this was last called.
    pub(crate) fn take(&self) -> Seen {
        self.with(std::mem::take)
    }

    fn answer(&self, number: u64) -> Option<StepResult<u64>> {
        Some(match (self.0.job)(number) {
            Job::Done => finish(number + 1),
            Job::Later(seconds) => pending_for(Duration::from_secs(seconds)),
            Job::Fails => fail("the job is gone"),
            Job::Errs => Err("the job says nothing".into()),
            Job::Unknown => return None,
        })
    }

    /// A job is asked alone, by `on_continue`.
    pub(crate) fn alone(&self, number: u64) -> StepResult<u64> {
        self.with(|seen| seen.alone.push(number));
        self.answer(number).unwrap_or_else(pending)
    }

    /// These jobs are asked by one call.
    pub(crate) fn asked(&self, jobs: impl Iterator<Item = u64>) {
        self.with(|seen| seen.together.push(jobs.collect()));
    }

    /// A call waits to be let go on.
    pub(crate) fn waits(&self) {
        self.0.waiting.send_modify(|waiting| *waiting += 1);
    }

    /// Returns when so many calls wait to be let go on.
    pub(crate) async fn until_waiting(&self, calls: u32) {
        self.0.waiting.subscribe().wait_for(|waiting| *waiting >= calls).await.unwrap();
    }

    /// Lets the calls that wait go on, and all that come.
    pub(crate) fn open(&self) {
        self.0.open.send_replace(true);
    }
}

/// What `on_continue_many` of each kind of job does.
pub(crate) async fn ask_all<S>(waiting: &mut [Waiting<'_, S>], cx: &BatchContext) -> Result<(), StepError>
where
    S: Step<Input = u64, Output = u64>,
{
    let world = cx.resource::<World>()?;
    let jobs: Vec<u64> = waiting.iter().map(|one| *one.input).collect();
    world.asked(jobs.iter().copied());
    let call = (world.0.call)(&jobs);
    let settles = !matches!(call, Call::Errs | Call::CannotBeDone);
    for one in waiting.iter_mut().filter(|_| settles) {
        if let Some(answer) = world.answer(*one.input) {
            one.settle(answer);
        }
    }
    match call {
        Call::Returns => Ok(()),
        Call::Errs => Err("the farm is closed".into()),
        Call::CannotBeDone => Err(StepError::fatal("the farm is sold")),
        Call::Panics => panic!("the farm burns"),
        Call::Hangs => std::future::pending().await,
        Call::Waits => {
            world.waits();
            world.0.open.subscribe().wait_for(|open| *open).await.unwrap();
            Ok(())
        }
    }
}

/// A kind of job: what is said in `#[step(…)]`, and its name.
macro_rules! job {
    ($(($($option:tt)*))? $name:ident) => {
        #[step$(($($option)*))?]
        pub(crate) struct $name {
            asked: u32,
        }

        impl Step for $name {
            type Input = u64;
            type Output = u64;

            async fn on_start(&mut self, _: &u64, _: &StepContext) -> StepResult<u64> {
                pending_for(std::time::Duration::from_secs(1))
            }

            async fn on_continue_many(
                waiting: &mut [Waiting<'_, Self>],
                cx: &BatchContext,
            ) -> Result<(), StepError> {
                waiting.iter_mut().for_each(|one| one.step.asked += 1);
                $crate::bench::ask_all(waiting, cx).await
            }
        }
    };
}
pub(crate) use job;

/// An orchestrator, its clock, and the store below it.
pub(crate) struct Bench<R> {
    pub(crate) store: R,
    pub(crate) clock: ManualClock,
    pub(crate) world: World,
    pub(crate) orchestrator: Orchestrator,
}

/// Room for all runs of a test at once, and leases that outlast it however the clock is moved.
pub(crate) fn roomy() -> OrchestratorConfig {
    OrchestratorConfig::default().concurrency(1_000).lease(Duration::from_secs(24 * 3_600))
}

impl<R: Repository + Clone> Bench<R> {
    /// An orchestrator of this world; `add` says what pipelines it knows.
    pub(crate) fn new(
        store: R,
        world: World,
        config: OrchestratorConfig,
        add: impl FnOnce(prorch::OrchestratorBuilder) -> prorch::OrchestratorBuilder,
    ) -> Self {
        let clock = ManualClock::default();
        let builder = Orchestrator::builder(store.clone()).clock(clock.clone()).config(config);
        let orchestrator = add(builder.resource(world.clone())).build().unwrap();
        Self { store, clock, world, orchestrator }
    }

    /// Starts a run for each number, and lets them come to where they wait until the next second.
    pub(crate) async fn start<P: Pipeline<Input = u64>>(&self, numbers: std::ops::Range<u64>) -> Vec<RunId> {
        let mut runs = Vec::new();
        for number in numbers {
            runs.push(self.orchestrator.start::<P>(number).await.unwrap().id());
        }
        self.pass().await;
        runs
    }

    pub(crate) async fn pass(&self) -> PassReport {
        self.orchestrator.execute_pipelines().await.unwrap()
    }

    /// A pass after so many seconds.
    pub(crate) async fn pass_after(&self, seconds: u64) -> PassReport {
        self.clock.advance(Duration::from_secs(seconds));
        self.pass().await
    }

    /// Returns when so many runs are open, and no worker holds any of them. Little time goes by meanwhile, so that a worker
    /// looks again which looked a moment too early.
    pub(crate) async fn until_idle(&self, runs: usize) {
        let begin = std::time::Instant::now();
        loop {
            let open = self.store.search(&Filter::active().limit(1_000)).await.unwrap().runs;
            let waits = |run: &Run| run.lease.is_none() && run.status() == Status::Pending;
            if open.len() == runs && open.iter().all(waits) {
                return;
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "{runs} runs do not come to rest: {open:#?}");
            self.clock.advance(Duration::from_micros(100));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub(crate) fn now(&self) -> prorch::repository::Timestamp {
        prorch::testing::Clock::now(&self.clock)
    }

    pub(crate) async fn stored(&self, run: RunId) -> StoredRun {
        let all = Part::Records { from: prorch::repository::Position::default(), limit: 1_000 };
        self.store.get(run, all).await.unwrap().unwrap()
    }

    /// The record of a run's first step.
    pub(crate) async fn record(&self, run: RunId) -> StepRecord {
        self.stored(run).await.records.first_key_value().unwrap().1.clone()
    }
}

/// A test for each of these functions, on the store in memory and on SQLite.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod memory {
            $(
                #[tokio::test]
                async fn $name() {
                    super::$name(prorch::repository::MemoryRepository::new()).await;
                }
            )*
        }

        #[cfg(feature = "sqlite")]
        mod sqlite {
            $(
                #[tokio::test]
                async fn $name() {
                    super::$name(prorch::SqliteRepository::open_in_memory().unwrap()).await;
                }
            )*
        }
    };
}
pub(crate) use on_both;
