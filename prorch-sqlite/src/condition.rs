//! What is wrong with the file at present: noted by the thread that writes, told by `health()`.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prorch_core::repository::{Concern, ConcernKind, Health};

use crate::begin::PATIENCE;
use crate::holder::holder;

/// How long a log may be held back before that is worth a word.
const HELD_FOR: Duration = Duration::from_secs(2);
/// How often one trouble that lasts is logged again.
const AGAIN: Duration = Duration::from_secs(60);

/// How the file is.
#[derive(Debug, Default)]
pub(crate) struct Condition {
    /// None when it is in memory.
    file: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    full: Option<Trouble>,
    /// Since when the lock is waited for by which a write begins.
    waits: Option<Instant>,
    held: Option<Trouble>,
    given_up: Option<String>,
}

/// Something that lasts, and when it was logged last.
#[derive(Clone, Copy, Debug)]
struct Trouble {
    since: Instant,
    logged: Option<Instant>,
}

impl Trouble {
    fn new() -> Self {
        Self { since: Instant::now(), logged: None }
    }

    /// Whether it is time to log it; from now on it counts as logged.
    fn is_worth_a_word(&mut self) -> bool {
        let due = self.logged.is_none_or(|last| last.elapsed() >= AGAIN);
        if due {
            self.logged = Some(Instant::now());
        }
        due
    }
}

impl Condition {
    pub(crate) fn of(file: &Path) -> Self {
        Self { file: Some(file.into()), state: Mutex::default() }
    }

    /// A write is in the file.
    pub(crate) fn written(&self) {
        let mut state = self.state();
        if state.full.take().is_some() {
            tracing::info!(file = %self.shown(), "there is room again; the database is written to");
        }
    }

    /// There was no room for a write.
    pub(crate) fn full(&self) {
        let mut state = self.state();
        if state.full.get_or_insert_with(Trouble::new).is_worth_a_word() {
            let file = self.shown();
            tracing::error!(%file, "the disk is full: make room; nothing is lost, and what waits is written when there is");
        }
    }

    /// A write waits for its lock since then; none does any more without a time.
    pub(crate) fn waits(&self, since: Option<Instant>) {
        self.state().waits = since;
    }

    /// The log could or could not be emptied.
    pub(crate) fn emptied(&self, done: Result<(), Held>) {
        let mut state = self.state();
        let Err(Held { bytes }) = done else {
            if state.held.take().is_some_and(|held| held.logged.is_some()) {
                tracing::info!(file = %self.shown(), "the database's log is emptied again");
            }
            return;
        };
        let held = state.held.get_or_insert_with(Trouble::new);
        if held.since.elapsed() >= HELD_FOR && held.is_worth_a_word() {
            let file = self.shown();
            tracing::warn!(%file, bytes, "the database's log can't be emptied and grows: somebody reads an old snapshot");
        }
    }

    /// Nothing more is written to the file.
    pub(crate) fn given_up(&self, why: &str) {
        self.state().given_up = Some(why.into());
    }

    /// All of it, in words that say what to do.
    pub(crate) fn health(&self) -> Health {
        let state = self.state();
        let file = self.shown();
        let concerns = [
            state.given_up.as_ref().map(|why| Concern::new(ConcernKind::Broken, format!("{file}: {why}"))),
            state.full.map(|full| Concern::new(ConcernKind::NoSpace, no_room(&file, full.since))),
            state.waits.and_then(|since| self.kept_from(&file, since)),
            state.held.and_then(|held| self.growing(&file, held.since)),
        ];
        Health { concerns: concerns.into_iter().flatten().collect() }
    }

    fn kept_from(&self, file: &str, since: Instant) -> Option<Concern> {
        let holder = self.file.as_deref().map(holder).filter(|_| since.elapsed() >= PATIENCE)?;
        let text = format!(
            "{file} can't be written to since {}: {holder}; end its transaction, or the process if it does not move",
            seconds(since)
        );
        Some(Concern::new(ConcernKind::Blocked, text))
    }

    fn growing(&self, file: &str, since: Instant) -> Option<Concern> {
        let bytes = crate::wal::length(self.file.as_deref()?);
        (since.elapsed() >= HELD_FOR).then(|| {
            let text = format!(
                "the log of {file} has {} MiB and can't be emptied since {}, because somebody reads an old snapshot of the \
                 database: end the transaction or the program that does (a shell, a copy being made)",
                bytes >> 20,
                seconds(since)
            );
            Concern::new(ConcernKind::Growing, text)
        })
    }

    fn shown(&self) -> String {
        self.file
            .as_deref()
            .map_or_else(|| "the database in memory".into(), |file| file.display().to_string())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The log was not emptied, because somebody still reads what is in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) bytes: u64,
}

fn no_room(file: &str, since: Instant) -> String {
    format!("there is no room on the disk for {file} since {}: make room, and it goes on", seconds(since))
}

fn seconds(since: Instant) -> String {
    format!("{} s", since.elapsed().as_secs())
}
