//! Keeps the write-ahead log short.

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::Connection;

/// After about so many bytes the log is copied into the database, as far as readers let it.
const COPY_AFTER: usize = 16 << 20;
/// A log file that is longer than this is emptied, as soon as no reader needs it.
const LONGEST: u64 = 64 << 20;
/// About what a row adds to the log when many share their pages, and what a transaction adds at least: whole pages.
const ROW: usize = 512;
const TRANSACTION: usize = 32 << 10;

/// The log of one database, as far as this process writes to it.
pub(crate) struct Wal {
    file: PathBuf,
    /// How long the connection waits for a lock, but not here.
    patience: Duration,
    grown: usize,
}

impl Wal {
    pub(crate) fn of(database: PathBuf, patience: Duration) -> Self {
        let mut file = database.into_os_string();
        file.push("-wal");
        Self { file: file.into(), patience, grown: 0 }
    }

    /// Counts a transaction, and tidies up when it is time. What was committed is safe in the log whatever this says.
    pub(crate) fn grew(
        &mut self,
        connection: &Connection,
        rows: usize,
        bytes: usize,
    ) -> rusqlite::Result<()> {
        self.grown += TRANSACTION.max(rows * ROW + bytes);
        if self.grown < COPY_AFTER {
            return Ok(());
        }
        self.grown = 0;
        let long = self.file.metadata().is_ok_and(|file| file.len() > LONGEST);
        if long { self.empty(connection) } else { checkpoint(connection, "PRAGMA wal_checkpoint(PASSIVE)") }
    }

    /// Empties the log without waiting for readers: a slow one must not hold up those who write.
    fn empty(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.busy_timeout(Duration::ZERO)?;
        let done = checkpoint(connection, "PRAGMA wal_checkpoint(TRUNCATE)");
        connection.busy_timeout(self.patience)?;
        done
    }
}

fn checkpoint(connection: &Connection, pragma: &str) -> rusqlite::Result<()> {
    connection.query_row(pragma, [], |_| Ok(()))
}
