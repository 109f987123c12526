//! Counts the SQL statements of this process.

#![allow(unsafe_code, reason = "SQLite tells of new connections only to what is registered as an extension")]

use std::ffi::{c_char, c_int};
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::auto_extension::{init_auto_extension, register_auto_extension};
use rusqlite::ffi;
use rusqlite::trace::TraceEventCodes;
use tokio::sync::Mutex;

/// Held by a test that uses a database: statements are counted for the whole process.
pub(crate) static ALONE: Mutex<()> = Mutex::const_new(());

static COUNTED: AtomicU64 = AtomicU64::new(0);

/// How many statements were begun since [`count_from_now_on`].
pub(crate) fn counted() -> u64 {
    COUNTED.load(Ordering::SeqCst)
}

/// Counts the statements of all connections that are opened from now on.
pub(crate) fn count_from_now_on() {
    // SAFETY: `watch` neither opens nor closes a database, and leaves the list of extensions alone.
    unsafe { register_auto_extension(watch) }.unwrap();
}

unsafe extern "C" fn watch(
    database: *mut ffi::sqlite3,
    error: *mut *mut c_char,
    _: *const ffi::sqlite3_api_routines,
) -> c_int {
    // SAFETY: both are handed on as SQLite gave them.
    unsafe {
        init_auto_extension(database, error, |mut connection| {
            // It has no fields, so that it is no matter that the connection does not own it for long.
            connection.trace_v2(
                TraceEventCodes::SQLITE_TRACE_STMT,
                Some(|_: rusqlite::trace::TraceEvent<'_>| {
                    COUNTED.fetch_add(1, Ordering::SeqCst);
                }),
            )
        })
    }
}
