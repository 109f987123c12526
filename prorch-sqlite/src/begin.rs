//! The beginning of a transaction that writes: SQLite's own lock.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

use crate::condition::Condition;
use crate::error::Fault;
use crate::holder::holder;
use crate::open::is_busy;

/// How long SQLite itself waits for a lock, before that is worth a word.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);
/// How often it is logged that somebody holds the file.
const AGAIN: Duration = Duration::from_secs(10);

/// Takes SQLite's lock, however long others hold it, up to the limit. Of prorch's own there is nobody in the way, unless
/// one does not move.
pub(crate) fn begin(
    connection: &Connection,
    condition: &Condition,
    lock_wait: Duration,
    path: Option<&Path>,
) -> Result<(), Fault> {
    let began = Instant::now();
    condition.waits(Some(began));
    let begun = wait(connection, began, lock_wait, path);
    condition.waits(None);
    begun
}

fn wait(
    connection: &Connection,
    began: Instant,
    lock_wait: Duration,
    path: Option<&Path>,
) -> Result<(), Fault> {
    let mut logged = None::<Instant>;
    loop {
        match connection.execute_batch("BEGIN IMMEDIATE") {
            Ok(()) => return Ok(()),
            Err(error) if !is_held(&error) => return Err(error.into()),
            Err(error) => {
                let (waited, holder) = (began.elapsed(), path.map_or_else(String::new, holder));
                if waited >= lock_wait {
                    return Err(Fault::Held { holder, error });
                }
                if logged.is_none_or(|last| last.elapsed() >= AGAIN) {
                    tracing::warn!(?waited, "{holder}, and the database can't be written to; waiting for it");
                    logged = Some(Instant::now());
                }
            }
        }
    }
}

/// Whether others have a lock: that of the one who writes, or all of the log's, for which SQLite waits in its own way.
fn is_held(error: &rusqlite::Error) -> bool {
    is_busy(error) || error.sqlite_error_code() == Some(ErrorCode::FileLockingProtocolFailed)
}
