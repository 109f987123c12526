//! What a worker process is told.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::steps::Order;

/// By which a process that is a copy of the test knows that it is a worker, and what it is to do.
pub(super) const VARIABLE: &str = "PRORCH_WORKER";

/// What a worker process is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Task {
    pub(super) name: String,
    pub(super) directory: PathBuf,
    pub(super) lease: Duration,
    pub(super) concurrency: usize,
    pub(super) crash_cap: u32,
    pub(super) time: Time,
    pub(super) build: Build,
    /// It starts so many runs of `Plain`, or of `Changing` if its build has that, with this order, and ends.
    pub(super) starts: Option<(usize, Order)>,
    /// How much memory it may ask for, in bytes.
    pub(super) memory: Option<u64>,
}

/// Which pipelines a worker process knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Build {
    /// [`Plain`](super::Plain) and [`Patient`](super::Patient).
    #[default]
    Usual,
    /// [`Changing`](super::Changing) as it was.
    Old,
    /// [`Changing`](super::Changing) as it is now.
    New,
}

/// What the clock of a worker process says.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Time {
    /// The time.
    #[default]
    Right,
    /// A time that is wrong by so many seconds: ahead, or (negative) behind.
    WrongBy(i64),
    /// One that jumps an hour ahead and an hour back, again and again.
    Jumping,
    /// The time, but everybody sleeps so much longer than they wanted.
    Late(Duration),
}

impl Task {
    /// The task of this process, if it is a worker.
    pub(super) fn of_this_process() -> Option<Self> {
        let task = std::env::var(VARIABLE).ok()?;
        Some(serde_json::from_str(&task).expect("the test wrote a task"))
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a task is plain data")
    }

    /// Where the store keeps its files.
    pub(super) fn store(&self) -> PathBuf {
        self.directory.join("store")
    }

    /// What the worker logs.
    pub(super) fn log(&self) -> PathBuf {
        self.file("log")
    }

    /// What it says when it panics.
    pub(super) fn errors(&self) -> PathBuf {
        self.file("err")
    }

    /// Is there when the worker has opened the store.
    pub(super) fn is_up(&self) -> PathBuf {
        self.file("up")
    }

    fn file(&self, extension: &str) -> PathBuf {
        self.directory.join(format!("{}.{extension}", self.name))
    }
}
