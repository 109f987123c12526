//! Starts the program and ends it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use prorch_testkit::disk::{Disk, Event, EventKind};

use super::ledger::{Entry, Ledger};
use super::program::Task;

/// The longest that anything takes; it is reached only when a test fails.
const PATIENCE: Duration = Duration::from_secs(120);

/// A process of the program. Dropped, it is killed.
pub(crate) struct Life(Child);

/// The command that plays the program with this task.
pub(crate) fn command(task: &Task) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "the_program_does_its_work_on_a_disk_that_is_well", "--nocapture"]);
    let errors = std::fs::File::create(task.outside.join(format!("{}.err", task.name))).unwrap();
    command.stdout(Stdio::null()).stderr(errors);
    task.tell(&mut command);
    command
}

impl Life {
    pub(crate) fn begin(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Lets it go on after it was stopped.
    pub(crate) fn wake(&self) {
        let woken = Command::new("kill").args(["-CONT", &self.id().to_string()]).status().unwrap();
        assert!(woken.success());
    }

    /// Waits until it ends by itself.
    pub(crate) fn end(&mut self) -> ExitStatus {
        until("the program ends", || self.0.try_wait().unwrap().is_some());
        self.0.wait().unwrap()
    }

    /// Kills it, unless it has ended.
    pub(crate) fn kill(&mut self) {
        let _ = self.0.kill();
        self.0.wait().unwrap();
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The disk, with what the tests ask of it.
pub(crate) struct Machine {
    pub(crate) disk: Disk,
    pub(crate) ledger: Ledger,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let disk = Disk::new().unwrap();
        let ledger = Ledger::in_directory(disk.outside());
        Self { disk, ledger }
    }

    pub(crate) fn task(&self, name: &str) -> Task {
        Task::new(name, &self.disk.directory(), self.disk.outside())
    }

    pub(crate) fn begin(&self, task: &Task) -> Life {
        Life::begin(self.disk.under(&mut command(task)))
    }

    /// Lets the program end all runs that are there.
    pub(crate) fn end_all(&self, name: &str) {
        let task = self.task(name);
        assert!(self.begin(&task).end().success(), "{}", self.said(&task));
    }

    /// What was acknowledged and does not hold in a copy of the files as they are.
    pub(crate) async fn findings(&self) -> Vec<String> {
        let copy = tempfile::tempdir().unwrap();
        self.ledger.findings(&self.copy(copy.path())).await
    }

    /// Copies the files to where it does no harm to open them, and gives the copy of the database.
    pub(crate) fn copy(&self, to: &Path) -> PathBuf {
        for file in std::fs::read_dir(self.disk.directory()).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
        to.join("runs.db")
    }

    pub(crate) fn wait_for(&self, count: usize, what: &str, counts: impl Fn(&Entry) -> bool) {
        until(what, || self.ledger.count(&counts) >= count);
    }

    pub(crate) fn log(&self, task: &Task) -> String {
        std::fs::read_to_string(task.log()).unwrap_or_default()
    }

    /// What a program said when it ended before its time.
    pub(crate) fn said(&self, task: &Task) -> String {
        let errors = std::fs::read_to_string(task.outside.join(format!("{}.err", task.name)));
        format!("{}{}{:?}", self.log(task), errors.unwrap_or_default(), self.ledger.read().last())
    }

    pub(crate) fn events(&self, kind: EventKind) -> Vec<Event> {
        self.disk.events().unwrap().into_iter().filter(|event| event.kind == kind).collect()
    }
}

pub(crate) fn is_started(entry: &Entry) -> bool {
    matches!(entry, Entry::Started(_))
}

pub(crate) fn is_ended(entry: &Entry) -> bool {
    matches!(entry, Entry::Ended(_))
}

pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "it took too long until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
