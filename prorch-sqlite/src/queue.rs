//! Whose turn it is to write: repositories that share a file go one after the other, in the order in which they came.
//!
//! SQLite's own lock keeps them apart but is not fair: who waits for it sleeps and tries again, so that one who writes
//! all the time starves the others. Two lock files beside the database make a queue of it: take `next`, take `turn`, let
//! go of `next`, write, let go of `turn`. Whoever has written must get past the one who holds `next` before it can
//! write again.
//!
//! The queue makes it fair and nothing else depends on it: SQLite's lock is taken all the same. So nobody waits long in
//! it for one that does not move (a process that is frozen while it stands in line): it goes on without.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prorch_core::repository::StoreError;

use crate::open::open_beside;

/// How long a turn is waited for. Turns take milliseconds.
const PATIENCE: Duration = Duration::from_secs(1);

/// This repository's place in the queue of those who write to one file.
pub(crate) struct Queue {
    line: Arc<Line>,
    /// Whether somebody stands by to wait in line.
    helped: bool,
}

/// What is shared with the thread that waits. A file's lock has no time limit, so that one is made with a thread, which
/// begins its work only when others are in the way.
struct Line {
    next: File,
    turn: File,
    place: Mutex<Place>,
    moved: Condvar,
}

/// Where this repository stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Not in line, or in its turn.
    Outside,
    /// The thread is to wait for what is missing.
    Wanted(Missing),
    /// The thread has got the turn.
    Given,
    /// The thread still waits, and nobody for it: when it gets the turn it lets go of it at once.
    Skipped,
    /// There will be no more turns.
    Closed,
}

/// What of the two locks is not there yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    Both,
    Turn,
}

/// The right to write next, until it is dropped.
pub(crate) struct Turn<'q>(&'q Line);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.leave(&self.0.turn);
    }
}

impl Queue {
    /// Makes the two files where they are not there.
    pub(crate) fn open(database: &Path) -> Result<Self, StoreError> {
        let (next, turn) = (open_beside(database, "-next")?, open_beside(database, "-turn")?);
        let line = Line { next, turn, place: Mutex::new(Place::Outside), moved: Condvar::new() };
        Ok(Self { line: Arc::new(line), helped: false })
    }

    /// Waits for this repository's turn; none when it is better to go without one.
    pub(crate) fn enter(&mut self) -> Option<Turn<'_>> {
        if *self.line.place() == Place::Skipped {
            return None;
        }
        let got = match self.line.take() {
            Ok(None) => true,
            Ok(Some(missing)) => self.wait(missing),
            Err(error) => {
                tracing::debug!(%error, "the lock files beside the database can't be locked; writing without a queue");
                false
            }
        };
        got.then(|| Turn(&self.line))
    }

    fn wait(&mut self, missing: Missing) -> bool {
        if !self.helped {
            let line = Arc::clone(&self.line);
            let started =
                std::thread::Builder::new().name("prorch-queue".into()).spawn(move || line.stand_by());
            self.helped = started.is_ok();
        }
        self.helped && self.line.wait(missing)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // The thread may wait for somebody who does not move. It ends when that one does, and is not waited for.
        *self.line.place() = Place::Closed;
        self.line.moved.notify_all();
    }
}

impl Line {
    /// Takes what is free, and says what is missing.
    fn take(&self) -> io::Result<Option<Missing>> {
        if !try_lock(&self.next)? {
            return Ok(Some(Missing::Both));
        }
        if !try_lock(&self.turn)? {
            return Ok(Some(Missing::Turn));
        }
        self.leave(&self.next);
        Ok(None)
    }

    /// Lets the thread wait for the turn, for a while.
    fn wait(&self, missing: Missing) -> bool {
        let mut place = self.place();
        *place = Place::Wanted(missing);
        self.moved.notify_all();
        let waits = |place: &mut Place| matches!(place, Place::Wanted(_));
        let (mut place, _) =
            self.moved.wait_timeout_while(place, PATIENCE, waits).unwrap_or_else(PoisonError::into_inner);
        let got = *place == Place::Given;
        *place = if waits(&mut place) { Place::Skipped } else { Place::Outside };
        got
    }

    /// The work of the thread: waits whenever it is told to.
    fn stand_by(&self) {
        while let Some(missing) = self.told() {
            let locked = self.lock(missing);
            let mut place = self.place();
            match *place {
                Place::Wanted(_) if locked.is_ok() => *place = Place::Given,
                Place::Closed => self.leave(&self.turn),
                _ => {
                    self.leave(&self.turn);
                    *place = Place::Outside;
                }
            }
            drop(place);
            self.moved.notify_all();
        }
    }

    /// What to wait for; none when it is over.
    fn told(&self) -> Option<Missing> {
        let mut place = self.place();
        loop {
            match *place {
                Place::Wanted(missing) => return Some(missing),
                Place::Closed => return None,
                _ => place = self.moved.wait(place).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn lock(&self, missing: Missing) -> io::Result<()> {
        if missing == Missing::Both {
            self.next.lock()?;
        }
        let locked = self.turn.lock();
        self.leave(&self.next);
        locked
    }

    fn leave(&self, file: &File) {
        if let Err(error) = file.unlock() {
            tracing::debug!(%error, "a lock file beside the database can't be unlocked");
        }
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the lock was free.
fn try_lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
