//! What SQLite says, and what that means to the caller.

use prorch_core::repository::{RunId, StoreError, StoreErrorKind};
use rusqlite::ErrorCode;
use rusqlite::ffi::SQLITE_IOERR_SHMSIZE;

/// Why something inside a transaction did not work.
#[derive(Debug)]
pub(crate) enum Fault {
    /// SQLite says so.
    Sqlite(rusqlite::Error),
    /// A row holds what can't be read.
    Unreadable {
        /// The table and the column.
        column: String,
        /// What is wrong with it.
        why: String,
    },
    /// What was to be written has no place in a row.
    Unstorable(String),
    /// The file is not what it must be.
    Misfit(String),
    /// Somebody else has the file, and did not let go of it in time.
    Held {
        /// Who, in words.
        holder: String,
        /// What SQLite says.
        error: rusqlite::Error,
    },
}

/// How far a fault reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Everybody, but it passes: nothing was written, and asking again is right.
    Passing,
    /// Only what was asked for.
    Own,
    /// The file can't be trusted or not be reached any more.
    File,
}

impl Fault {
    pub(crate) fn unstorable(what: String) -> Self {
        Self::Unstorable(what)
    }

    pub(crate) fn reach(&self) -> Reach {
        match self {
            Self::Sqlite(error) => reach(error),
            Self::Unreadable { .. } | Self::Unstorable(_) => Reach::Own,
            Self::Misfit(_) => Reach::File,
            Self::Held { .. } => Reach::Passing,
        }
    }

    /// The error of a call that could not do `what` and left nothing behind.
    pub(crate) fn to_error(&self, what: &str) -> StoreError {
        let (kind, advice) = match self {
            Self::Sqlite(error) => (kind(error), advice(error)),
            Self::Unreadable { .. } => (StoreErrorKind::Corrupt, ""),
            Self::Unstorable(_) => (StoreErrorKind::Refused, ""),
            Self::Misfit(_) => (StoreErrorKind::Broken, ""),
            Self::Held { .. } => {
                (StoreErrorKind::Transient, "; end its transaction, or the process if it does not move")
            }
        };
        StoreError::new(kind, format!("{what}: {self}{advice}"))
    }

    /// The same, with what caused it.
    pub(crate) fn into_error(self, what: &str) -> StoreError {
        let told = self.to_error(what);
        match self {
            Self::Sqlite(error) | Self::Held { error, .. } => told.with_source(error),
            _ => told,
        }
    }

    /// The same for one run, which is named.
    pub(crate) fn of_run(self, id: RunId) -> StoreError {
        self.into_error(&format!("the run {id} can't be read"))
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(error) => error.fmt(f),
            Self::Unreadable { column, why } => write!(f, "column {column}: {why}"),
            Self::Unstorable(what) => write!(f, "{what} can't be stored"),
            Self::Misfit(what) => f.write_str(what),
            Self::Held { holder, error } => write!(f, "{holder} ({error})"),
        }
    }
}

/// Whether there was no room on the disk: for what was to be written, or for the index of the log to grow. SQLite calls
/// that one an I/O error; nothing that is kept is in it.
pub(crate) fn is_full(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    error.sqlite_error_code() == Some(ErrorCode::DiskFull) || code == Some(SQLITE_IOERR_SHMSIZE)
}

pub(crate) fn reach(error: &rusqlite::Error) -> Reach {
    use ErrorCode as Code;
    if is_full(error) {
        return Reach::Passing;
    }
    match error.sqlite_error_code() {
        Some(
            Code::DatabaseBusy
            | Code::DatabaseLocked
            | Code::OutOfMemory
            | Code::OperationInterrupted
            | Code::SchemaChanged
            | Code::FileLockingProtocolFailed,
        ) => Reach::Passing,
        Some(
            Code::SystemIoFailure
            | Code::DatabaseCorrupt
            | Code::NotADatabase
            | Code::ReadOnly
            | Code::CannotOpen
            | Code::PermissionDenied
            | Code::InternalMalfunction
            | Code::NoLargeFileSupport,
        ) => Reach::File,
        _ => Reach::Own,
    }
}

fn kind(error: &rusqlite::Error) -> StoreErrorKind {
    match reach(error) {
        Reach::Passing => StoreErrorKind::Transient,
        Reach::Own => StoreErrorKind::Refused,
        Reach::File => StoreErrorKind::Broken,
    }
}

/// What to do about it, where that can be said.
fn advice(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        _ if is_full(error) => "; make room, and it goes on",
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "; another program holds the file: end its transaction"
        }
        Some(ErrorCode::SystemIoFailure) => {
            "; nothing more is written to the file from here: look after the disk, then open it again"
        }
        Some(ErrorCode::DatabaseCorrupt) => "; put a copy that is whole in its place",
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            "; the file and its directory must be there and writable"
        }
        _ => "",
    }
}

/// The error of everybody whose work was in a transaction that failed at COMMIT: it may be there after a crash.
pub(crate) fn ambiguous(error: &rusqlite::Error) -> StoreError {
    let what = format!(
        "COMMIT failed, so it is not known whether the write is there: {error}{}; ask again",
        advice(error)
    );
    StoreError::new(StoreErrorKind::Ambiguous, what)
}

/// The error of what comes after the file was given up.
pub(crate) fn broken(why: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Broken, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    fn told(code: i32) -> StoreError {
        let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        Fault::from(error).into_error("nothing was written")
    }

    #[test]
    fn what_passes_is_told_from_what_is_refused_and_from_a_file_that_is_lost() {
        for code in [
            ffi::SQLITE_BUSY,
            ffi::SQLITE_LOCKED,
            ffi::SQLITE_FULL,
            ffi::SQLITE_IOERR_SHMSIZE,
            ffi::SQLITE_NOMEM,
        ] {
            assert_eq!(told(code).kind(), StoreErrorKind::Transient, "{code}");
        }
        for code in [ffi::SQLITE_CONSTRAINT, ffi::SQLITE_TOOBIG, ffi::SQLITE_MISMATCH] {
            assert_eq!(told(code).kind(), StoreErrorKind::Refused, "{code}");
        }
        for code in [ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_CORRUPT, ffi::SQLITE_READONLY_DBMOVED] {
            assert_eq!(told(code).kind(), StoreErrorKind::Broken, "{code}");
        }
    }

    #[test]
    fn an_error_says_what_to_do() {
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_SHMSIZE] {
            assert!(told(code).to_string().contains("make room"), "{code}");
        }
        assert!(told(ffi::SQLITE_IOERR_FSYNC).to_string().contains("open it again"));
    }
}
