//! What a test of several processes works with.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use prorch_core::orchestrator::Orchestrator;
use prorch_core::pipeline::Pipeline;
use prorch_core::repository::{Filter, Repository, Run, RunId, Status};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::child::builder;
use super::hooks::Hooks;
use super::journal::{Effect, Journal};
use super::log::{self, LogLine};
use super::steps::Order;
use super::task::{Build, Task, Time};
use super::worker::{Worker, WorkerSetup};

/// How many runs are started side by side.
const STARTED_AT_ONCE: usize = 100;
/// How often a scene looks whether something has come to pass.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How long it waits for what should come soon.
const PATIENCE: Duration = Duration::from_secs(60);

/// A directory with a store, and the test's own orchestrator on it, which starts runs and runs none.
#[derive(Debug)]
pub struct Scene {
    directory: TempDir,
    entry: &'static str,
    orchestrator: Orchestrator,
    journal: Journal,
    hooks: Hooks,
}

impl Scene {
    /// A scene whose workers begin at the test `entry`.
    pub(super) async fn new<R: Repository>(
        entry: &'static str,
        make: impl AsyncFnOnce(PathBuf) -> R,
    ) -> Self {
        let directory = tempfile::tempdir().expect("a directory for the test");
        let task = task(directory.path(), "test");
        std::fs::create_dir(task.store()).expect("a directory for the store");
        let orchestrator = builder(make(task.store()).await, &task).build();
        Self {
            entry,
            orchestrator: orchestrator.expect("the orchestrator can be built"),
            journal: Journal::open(directory.path()),
            hooks: Hooks::new(directory.path()),
            directory,
        }
    }

    /// A worker process on the same store.
    pub fn worker(&self, name: &str) -> WorkerSetup {
        WorkerSetup { entry: self.entry, task: task(self.directory.path(), name), environment: Vec::new() }
    }

    /// Where everything lies: the store in `store`.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The test's own orchestrator.
    #[must_use]
    pub fn orchestrator(&self) -> &Orchestrator {
        &self.orchestrator
    }

    /// Starts runs of `P`, many side by side.
    ///
    /// # Panics
    ///
    /// When one can't be started.
    pub async fn start<P>(&self, orders: impl IntoIterator<Item = Order>) -> Vec<RunId>
    where
        P: Pipeline<Input = Order>,
    {
        let (mut starting, mut started) = (JoinSet::new(), Vec::new());
        for order in orders {
            if starting.len() >= STARTED_AT_ONCE {
                started.extend(starting.join_next().await);
            }
            let start = self.orchestrator.start::<P>(order);
            starting.spawn(async move { start.await.expect("the run can be started").id() });
        }
        while let Some(run) = starting.join_next().await {
            started.push(run);
        }
        started.into_iter().map(|run| run.expect("a start does not panic")).collect()
    }

    /// Waits until every run has ended, at most so long, and does `meanwhile` again and again, which is told how many
    /// have not. Says how long it took.
    ///
    /// # Panics
    ///
    /// When it takes longer.
    pub async fn until_all_ended(&self, longest: Duration, mut meanwhile: impl FnMut(u64)) -> Duration {
        let began = Instant::now();
        loop {
            let open = self.open_runs().await;
            if open == 0 {
                return began.elapsed();
            }
            assert!(began.elapsed() < longest, "{open} runs have not ended in {longest:?}\n{}", self.story());
            meanwhile(open);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// How many runs have not ended.
    ///
    /// # Panics
    ///
    /// When the store can't be read.
    pub async fn open_runs(&self) -> u64 {
        let open = self.orchestrator.search(&Filter::active().limit(1).with_total()).await;
        open.expect("the store can be read").total.expect("it was asked for")
    }

    /// The runs in this status, without their records.
    ///
    /// # Panics
    ///
    /// When the store can't be read.
    pub async fn runs(&self, status: Status) -> Vec<Run> {
        let filter = Filter::all().statuses([status]).limit(usize::MAX);
        self.orchestrator.search(&filter).await.expect("the store can be read").runs
    }

    /// Stops a worker where it does not write: the store can still be written.
    ///
    /// # Panics
    ///
    /// When that is not to be had in a hundred times.
    pub async fn freeze_outside_of_a_write(&self, worker: &Worker) {
        for _ in 0..100 {
            worker.freeze();
            let nobody = RunId::from_bytes([0; 16]);
            let write = self.orchestrator.signal(nobody, "whether there is room to write", ());
            if tokio::time::timeout(Duration::from_secs(1), write).await.is_ok() {
                return;
            }
            worker.wake();
        }
        panic!("the worker always writes");
    }

    /// What the steps did so far, in order.
    #[must_use]
    pub fn effects(&self) -> Vec<Effect> {
        self.journal.read()
    }

    /// Waits until something has come to pass.
    ///
    /// # Panics
    ///
    /// When that takes too long.
    pub async fn until(&self, what: &str, mut has_come: impl FnMut() -> bool) {
        let until = Instant::now() + PATIENCE;
        while !has_come() {
            assert!(Instant::now() < until, "{what}: that takes too long\n{}", self.story());
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until so many calls wait at the hook; says in which processes, and of which runs.
    ///
    /// # Panics
    ///
    /// When that takes too long.
    pub async fn until_reached(&self, hook: &str, calls: usize) -> Vec<(u32, RunId)> {
        self.until("calls come to the hook", || self.hooks.reached(hook).len() >= calls).await;
        self.hooks.reached(hook)
    }

    /// Lets all calls go on that wait at the hook.
    pub fn release(&self, hook: &str) {
        self.hooks.release(hook);
    }

    /// What all workers logged so far, each line with the worker's name.
    ///
    /// # Panics
    ///
    /// When the directory can't be read.
    #[must_use]
    pub fn logs(&self) -> Vec<(String, LogLine)> {
        let entries = std::fs::read_dir(self.directory.path()).expect("the directory can be read");
        let logs = entries.filter_map(|entry| {
            let path = entry.ok()?.path();
            (path.extension()? == "log").then_some(path)
        });
        let named = |path: PathBuf| {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            log::read(&path).into_iter().map(move |line| (name.clone(), line))
        };
        logs.flat_map(named).collect()
    }

    /// The last lines of all logs, for a test that failed.
    fn story(&self) -> String {
        let logs = self.logs();
        let serious = logs.iter().filter(|(_, line)| line.is_above_debug());
        let lines: Vec<String> =
            serious.map(|(name, line)| format!("{name}: {} {}", line.level, line.text)).collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

fn task(directory: &Path, name: &str) -> Task {
    Task {
        name: name.to_owned(),
        directory: directory.to_owned(),
        lease: Duration::from_secs(30),
        concurrency: 256,
        crash_cap: 5,
        time: Time::Right,
        build: Build::Usual,
        starts: None,
        memory: None,
    }
}
