//! A worker process, seen from the test that started it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use super::log::{self, LogLine};
use super::steps::Order;
use super::task::{Build, Task, Time, VARIABLE};

/// How long a worker may take for what takes it a moment.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often that is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// A worker process that is about to be started.
#[derive(Clone, Debug)]
#[must_use = "it is started by `.spawn()`"]
pub struct WorkerSetup {
    pub(super) entry: &'static str,
    pub(super) task: Task,
    pub(super) environment: Vec<(OsString, OsString)>,
}

impl WorkerSetup {
    /// How long the leases are under which it takes runs.
    pub fn lease(mut self, length: Duration) -> Self {
        self.task.lease = length;
        self
    }

    /// How many runs it works on side by side.
    pub fn concurrency(mut self, runs: usize) -> Self {
        self.task.concurrency = runs;
        self
    }

    /// After how many cut-off calls in a row it fails a run.
    pub fn crash_cap(mut self, calls: u32) -> Self {
        self.task.crash_cap = calls;
        self
    }

    /// What its clock says.
    pub fn time(mut self, time: Time) -> Self {
        self.task.time = time;
        self
    }

    /// Which pipelines it knows.
    pub fn build(mut self, build: Build) -> Self {
        self.task.build = build;
        self
    }

    /// Lets it start so many runs and end, in place of working: of [`Plain`](super::Plain), or of
    /// [`Changing`](super::Changing) if its build has that.
    pub fn starting(mut self, runs: usize, order: Order) -> Self {
        self.task.starts = Some((runs, order));
        self
    }

    /// How much memory it may ask for, in bytes.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.task.memory = Some(bytes);
        self
    }

    /// Sets an environment variable for it: `LD_PRELOAD`, say.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Starts the process.
    ///
    /// # Panics
    ///
    /// When it can't be started.
    #[must_use = "a worker that is dropped is killed"]
    pub fn spawn(self) -> Worker {
        let _ = std::fs::remove_file(self.task.is_up());
        let errors = File::options().append(true).create(true).open(self.task.errors());
        let child = Command::new(std::env::current_exe().expect("the test knows its program"))
            .args(["--exact", self.entry, "--nocapture", "--test-threads=1"])
            .env(VARIABLE, self.task.to_json())
            .envs(self.environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(errors.expect("a file for what it says when it panics"))
            .spawn()
            .expect("the worker can be started");
        Worker { child, task: self.task }
    }
}

/// A worker process. It is killed when this is dropped.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    task: Task,
}

impl Worker {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has opened the store.
    ///
    /// # Panics
    ///
    /// When it ends, or takes too long.
    pub fn wait_until_up(&mut self) {
        let until = Instant::now() + PATIENCE;
        while !self.task.is_up().exists() {
            assert!(self.ended().is_none(), "worker {} ended: {}", self.task.name, self.errors());
            assert!(Instant::now() < until, "worker {} does not come up: {}", self.task.name, self.errors());
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Ends it as a crash does: SIGKILL.
    ///
    /// # Panics
    ///
    /// When it can't be waited for.
    pub fn kill(&mut self) {
        // One that ended before can't be killed, which is just as well.
        let _ = self.child.kill();
        self.child.wait().expect("a process that was killed ends");
    }

    /// Stops it wherever it is: SIGSTOP. It has stopped when this returns.
    ///
    /// # Panics
    ///
    /// When it has ended.
    pub fn freeze(&self) {
        kill_process(self.id(), Signal::STOP).expect("the worker can be stopped");
        let stopped = waitpid(Some(self.id()), WaitOptions::UNTRACED).expect("the worker can be waited for");
        assert!(stopped.is_some_and(|(_, status)| status.stopped()), "worker {} ended", self.task.name);
    }

    /// Lets it go on after a [`freeze`](Self::freeze): SIGCONT.
    ///
    /// # Panics
    ///
    /// When it has ended.
    pub fn wake(&self) {
        kill_process(self.id(), Signal::CONT).expect("the worker can be woken");
    }

    /// Tells it to stop, and waits until it has given its runs back and ended.
    ///
    /// # Panics
    ///
    /// When it takes too long, or does not end in peace.
    pub fn stop(&mut self) {
        drop(self.child.stdin.take());
        let status = self.wait(PATIENCE);
        assert!(status.success(), "worker {} ended with {status}: {}", self.task.name, self.errors());
    }

    /// How it ended, if it has.
    ///
    /// # Panics
    ///
    /// When it can't be waited for.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the worker can be waited for")
    }

    /// Waits until it has ended, at most so long.
    ///
    /// # Panics
    ///
    /// When it takes longer.
    pub fn wait(&mut self, longest: Duration) -> ExitStatus {
        let until = Instant::now() + longest;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(Instant::now() < until, "worker {} has not ended in {longest:?}", self.task.name);
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// What it and earlier ones of its name logged so far.
    #[must_use]
    pub fn log(&self) -> Vec<LogLine> {
        log::read(&self.task.log())
    }

    /// What it and earlier ones of its name wrote to standard error.
    #[must_use]
    pub fn errors(&self) -> String {
        std::fs::read_to_string(self.task.errors()).unwrap_or_default()
    }

    fn id(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
