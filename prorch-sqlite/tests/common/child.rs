//! This test's program again, as another process.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child as Process, ChildStdout, Command, Stdio};

/// Names the database to the child.
const FILE: &str = "PRORCH_TEST_FILE";

/// A process that runs one test of this program in the role of the child; it ends with this value.
pub(crate) struct Child {
    process: Process,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Child {
    /// Runs the test again, with the database's file.
    pub(crate) fn of(test: &str, file: &Path) -> Self {
        Self::by(Command::new(std::env::current_exe().unwrap()), test, file)
    }

    /// The same by a command that runs what it is given at its end.
    pub(crate) fn by(mut command: Command, test: &str, file: &Path) -> Self {
        let mut process = command
            .args(["--exact", "--nocapture", test])
            .env(FILE, file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// What the child tells next.
    pub(crate) fn hear(&mut self) -> String {
        let told = self.lines.by_ref().map(Result::unwrap);
        let mut told = told.filter_map(|line| line.strip_prefix("told: ").map(str::to_owned));
        told.next().expect("the child tells something before it ends")
    }

    /// Lets the child go on.
    pub(crate) fn nudge(&mut self) {
        self.process.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    /// Waits until it ended, as it should.
    pub(crate) fn join(mut self) {
        assert!(self.process.wait().unwrap().success(), "the child says why");
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The database's file, if this process is a child.
pub(crate) fn file_of_child() -> Option<PathBuf> {
    std::env::var_os(FILE).map(PathBuf::from)
}

/// Tells the test something. It begins a line of its own, because the harness may have begun one.
#[allow(clippy::print_stdout, reason = "that is how the child tells the test")]
pub(crate) fn tell(what: &str) {
    println!("\ntold: {what}");
}

/// Waits until the test nudges this child, or is gone.
pub(crate) fn wait_for_nudge() {
    let _ = std::io::stdin().read_line(&mut String::new());
}
