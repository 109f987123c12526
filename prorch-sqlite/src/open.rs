//! Connections: opened, set up, and what was set up read back.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use prorch_core::repository::{StoreError, StoreErrorKind};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, MAIN_DB, OpenFlags};

use crate::builder::{Durability, SqliteBuilder};
use crate::error::Fault;
use crate::holder::holder;
use crate::queue::Queue;
use crate::schema::{APPLICATION, VERSION, migrate};

/// Before 3.51.3 two connections that write and checkpoint at once could corrupt a WAL database.
const OLDEST_SQLITE: i32 = 3_051_003;

/// How long SQLite itself waits for a lock before it says so.
pub(crate) const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Write,
    Read,
}

/// A connection that writes to the file, which is made and brought to the newest schema where necessary; and a place in
/// the queue of those who do.
pub(crate) fn writer(builder: &SqliteBuilder) -> Result<(Connection, Queue), StoreError> {
    let path = &*builder.path;
    check_library()?;
    check_place(path)?;
    let connection = connect(builder, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    check_writable(&connection, path)?;
    let told = |fault: Fault| fault.into_error(&format!("{} can't be opened", path.display()));
    let version = check_owner(&connection, path)?;
    let mut queue = Queue::open(path)?;
    // A file that is as it should be is opened without a write, so that nobody can be in the way.
    let turn = (version < VERSION).then(|| queue.enter()).flatten();
    switch_to_wal(&connection).map_err(told)?;
    configure(&connection, Purpose::Write, builder.durability).map_err(told)?;
    if version < VERSION {
        bring_up(&connection, path)?;
    }
    drop(turn);
    Ok((connection, queue))
}

/// A connection that reads from a file that is there.
pub(crate) fn reader(builder: &SqliteBuilder) -> Result<Connection, StoreError> {
    // It is opened for writing all the same: only such a connection can take part in the shared index of the WAL.
    let connection = connect(builder, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    configure(&connection, Purpose::Read, builder.durability)
        .map_err(|fault| fault.into_error(&format!("{} can't be read", builder.path.display())))?;
    Ok(connection)
}

/// The file beside the database whose name ends like this.
pub(crate) fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Opens one of prorch's own files beside the database; makes it when it is not there.
pub(crate) fn open_beside(database: &Path, suffix: &str) -> Result<File, StoreError> {
    let path = beside(database, suffix);
    File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(|error| {
        let what = format!(
            "{} can't be opened: {error}; its directory, and what prorch made in there, must be writable",
            path.display()
        );
        StoreError::new(StoreErrorKind::Broken, what).with_source(error)
    })
}

/// A database in memory, which ends with its connection.
pub(crate) fn in_memory() -> Result<Connection, StoreError> {
    check_library()?;
    let told = |fault: Fault| fault.into_error("a database in memory can't be made");
    let connection = Connection::open_in_memory().map_err(|error| told(error.into()))?;
    migrate(&connection, 0).map_err(|error| told(error.into()))?;
    Ok(connection)
}

fn check_library() -> Result<(), StoreError> {
    if rusqlite::version_number() >= OLDEST_SQLITE {
        return Ok(());
    }
    Err(refuse(format!(
        "SQLite {} is too old: it can corrupt a file that two connections write to. Build with 3.51.3 or newer (rusqlite's \
         feature `bundled` brings one)",
        rusqlite::version()
    )))
}

fn check_place(path: &Path) -> Result<(), StoreError> {
    let shown = path.display();
    if path.as_os_str().is_empty() || path.as_os_str() == ":memory:" {
        return Err(refuse(
            "that is no path of a file: runs in memory are opened with `open_in_memory`".into(),
        ));
    }
    if path.is_dir() {
        return Err(refuse(format!("{shown} is a directory: name a file in it, such as {shown}/prorch.db")));
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    match parent {
        Some(parent) if !parent.is_dir() => Err(refuse(format!(
            "{shown} can't be made, because the directory {} is not there: create it first",
            parent.display()
        ))),
        _ => Ok(()),
    }
}

fn connect(builder: &SqliteBuilder, flags: OpenFlags) -> Result<Connection, StoreError> {
    let opened = Connection::open_with_flags(&builder.path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX);
    let connection = opened.and_then(|connection| {
        connection.busy_timeout(builder.lock_wait.min(LOCK_PATIENCE))?;
        Ok(connection)
    });
    let what = || format!("{} can't be opened", builder.path.display());
    connection.map_err(|error| Fault::from(error).into_error(&what()))
}

/// SQLite opens a file that can't be written to for reading only, and says so at the first write.
fn check_writable(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    match connection.is_readonly(MAIN_DB) {
        Ok(false) => Ok(()),
        _ => Err(refuse(format!(
            "{} can only be read: give this program the right to write to it, or mount its file system for writing",
            path.display()
        ))),
    }
}

/// Refuses a file that is another program's, or of a version of prorch that is not out yet; says which schema it has.
fn check_owner(connection: &Connection, path: &Path) -> Result<i64, StoreError> {
    let shown = path.display();
    let (application, version, tables) =
        owner(connection).map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => {
                refuse(format!("{shown} is there, but it is no SQLite database: name another file"))
            }
            _ if is_busy(&error) => {
                let held = Fault::Held { holder: holder(path), error };
                held.into_error(&format!("{shown} can't be opened"))
            }
            _ => Fault::from(error).into_error(&format!("{shown} can't be opened")),
        })?;
    if application != APPLICATION && (application != 0 || version != 0 || tables != 0) {
        return Err(refuse(format!(
            "{shown} is a database of another program: name a file that prorch has to itself"
        )));
    }
    if version > VERSION {
        return Err(refuse(format!(
            "{shown} was written by a newer prorch (its schema is number {version}, this version knows {VERSION}): update \
             this program"
        )));
    }
    Ok(version)
}

/// One statement, so that another process which sets the file up is seen before or after, never halfway.
const OWNER: &str = "SELECT (SELECT application_id FROM pragma_application_id),
    (SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM sqlite_schema)";

fn owner(connection: &Connection) -> rusqlite::Result<(i64, i64, i64)> {
    connection.query_row(OWNER, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
}

/// Readers and the writer don't wait for each other in this mode. Two processes that switch a new file at once may see
/// each other's lock in a way that SQLite does not wait for.
fn switch_to_wal(connection: &Connection) -> Result<(), Fault> {
    let began = Instant::now();
    loop {
        let mode = pragma_to_its_end(connection, "PRAGMA journal_mode = wal");
        match mode {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => return Err(not_set("journal_mode", "wal", &mode)),
            Err(error) if is_busy(&error) && began.elapsed() < LOCK_PATIENCE => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// The text that a pragma gives, once it has ended: what it wrote is committed only then, after it has given its text.
fn pragma_to_its_end(connection: &Connection, pragma: &str) -> rusqlite::Result<String> {
    let mut statement = connection.prepare(pragma)?;
    let mut rows = statement.query([])?;
    let mut given = String::new();
    while let Some(row) = rows.next()? {
        given = row.get(0)?;
    }
    Ok(given)
}

pub(crate) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn configure(connection: &Connection, purpose: Purpose, durability: Durability) -> Result<(), Fault> {
    let reading = i64::from(purpose == Purpose::Read);
    let cache = if purpose == Purpose::Write { -32_768 } else { -4_096 };
    for (pragma, value) in [
        ("synchronous", durability.synchronous()),
        // On Apple's systems a plain fsync leaves the data in the drive's cache.
        ("fullfsync", i64::from(durability == Durability::PowerLoss)),
        ("checkpoint_fullfsync", i64::from(durability == Durability::PowerLoss)),
        ("foreign_keys", 1),
        // The writer checkpoints by itself, so that it sees the error of a disk that fails in it.
        ("wal_autocheckpoint", 0),
        ("cache_size", cache),
        ("temp_store", 2),
        ("query_only", reading),
    ] {
        set(connection, pragma, value)?;
    }
    // Of the connections of one repository the writer is closed last, and it alone tidies up.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, purpose == Purpose::Read)?;
    Ok(())
}

/// Sets a pragma and reads it back: SQLite says nothing when it does not take one.
fn set(connection: &Connection, pragma: &str, value: i64) -> Result<(), Fault> {
    connection.pragma_update(None, pragma, value)?;
    let found: i64 = connection.pragma_query_value(None, pragma, |row| row.get(0))?;
    if found == value { Ok(()) } else { Err(not_set(pragma, &value.to_string(), &found.to_string())) }
}

fn not_set(pragma: &str, wanted: &str, found: &str) -> Fault {
    Fault::Misfit(format!(
        "SQLite does not take {pragma} = {wanted} here (it stays at {found}); the file must be on a local disk, and SQLite \
         built with WAL"
    ))
}

/// Brings the schema up to date. Of several processes one does it, under the write lock, and the others find it done.
fn bring_up(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let told = |error: rusqlite::Error| {
        Fault::from(error).into_error(&format!("{} can't be set up", path.display()))
    };
    connection.execute_batch("BEGIN IMMEDIATE").map_err(told)?;
    // Read again under the lock: another process may have been first, and may have been a newer one.
    let ready = check_owner(connection, path).and_then(|version| {
        if version < VERSION { migrate(connection, version).map_err(told) } else { Ok(()) }
    });
    let end = if ready.is_ok() { "COMMIT" } else { "ROLLBACK" };
    connection.execute_batch(end).map_err(told)?;
    ready
}

fn refuse(what: String) -> StoreError {
    StoreError::new(StoreErrorKind::Broken, what)
}
