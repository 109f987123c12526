//! Keeps the write-ahead log short.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::condition::Held;
use crate::open::beside;
use crate::queue::Queue;

/// After about so many bytes the log is copied into the database, as far as readers let it.
const COPY_AFTER: usize = 16 << 20;
/// A log file that is longer than this is emptied, as soon as no reader needs it.
const LONGEST: u64 = 64 << 20;
/// About what a row adds to the log when many share their pages, and what a transaction adds at least: whole pages.
const ROW: usize = 512;
const TRANSACTION: usize = 32 << 10;
/// How long it is waited for those who read, who have to wait for nobody: a read takes less.
const FOR_READERS: Duration = Duration::from_millis(20);
/// How often it is tried to empty a log that somebody holds back.
const AGAIN: Duration = Duration::from_secs(1);

/// The log of one database, as far as this process writes to it.
pub(crate) struct Wal {
    database: PathBuf,
    /// How long the connection waits for a lock, but not here.
    patience: Duration,
    grown: usize,
    /// When it was found last that somebody holds it back.
    held: Option<Instant>,
}

impl Wal {
    pub(crate) fn of(database: PathBuf, patience: Duration) -> Self {
        Self { database, patience, grown: 0, held: None }
    }

    /// Counts a transaction, and says whether it is time to tidy up.
    pub(crate) fn grew(&mut self, rows: usize, bytes: usize) -> bool {
        self.grown += TRANSACTION.max(rows * ROW + bytes);
        self.grown >= COPY_AFTER || self.held.is_some_and(|last| last.elapsed() >= AGAIN)
    }

    /// Copies the log, and empties it where it is long. What was committed is safe in the log whatever this says.
    pub(crate) fn tidy(
        &mut self,
        connection: &Connection,
        queue: &mut Queue,
    ) -> rusqlite::Result<Result<(), Held>> {
        self.grown = 0;
        // Others write meanwhile: what is left for the next step, in which nobody can, is little.
        checkpoint(connection, "PRAGMA wal_checkpoint(PASSIVE)")?;
        let done = if length(&self.database) > LONGEST { self.empty(connection, queue)? } else { Ok(()) };
        self.held = done.is_err().then(Instant::now);
        Ok(done)
    }

    /// Empties the log in a turn of its own, hardly waiting for readers: a slow one must not hold up those who write.
    fn empty(&self, connection: &Connection, queue: &mut Queue) -> rusqlite::Result<Result<(), Held>> {
        let _turn = queue.enter();
        connection.busy_timeout(FOR_READERS)?;
        let done = checkpoint(connection, "PRAGMA wal_checkpoint(TRUNCATE)");
        connection.busy_timeout(self.patience)?;
        Ok(match done? {
            Checkpoint::Done => Ok(()),
            Checkpoint::InTheWay => Err(Held { bytes: length(&self.database) }),
        })
    }
}

/// How long the log of the database is.
pub(crate) fn length(database: &Path) -> u64 {
    beside(database, "-wal").metadata().map_or(0, |file| file.len())
}

/// What became of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Checkpoint {
    Done,
    /// Somebody reads from the log, or writes to it.
    InTheWay,
}

fn checkpoint(connection: &Connection, pragma: &str) -> rusqlite::Result<Checkpoint> {
    connection.query_row(pragma, [], |row| {
        Ok(if row.get::<_, i64>(0)? == 0 { Checkpoint::Done } else { Checkpoint::InTheWay })
    })
}
