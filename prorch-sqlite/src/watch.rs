//! Tells who waits that something may have become due.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::watch;

/// How often the file is looked at for what other processes wrote.
const POLL: Duration = Duration::from_millis(100);

/// Counts changes.
#[derive(Debug)]
pub(crate) struct Changes {
    count: watch::Sender<u64>,
    /// The count at which a call of [`next`](Self::next) began last: what came after it was seen by no later call.
    seen: AtomicU64,
}

impl Changes {
    pub(crate) fn new() -> Self {
        Self { count: watch::Sender::new(0), seen: AtomicU64::new(0) }
    }

    /// Something may have become due.
    pub(crate) fn tell(&self) {
        self.count.send_modify(|count| *count += 1);
    }

    /// Returns at once when something changed since the last call began, else when something changes: so that what
    /// comes between two calls is not missed.
    pub(crate) async fn next(&self) {
        let mut count = self.count.subscribe();
        let now = *count.borrow_and_update();
        if self.seen.swap(now, Ordering::Relaxed) == now {
            // It fails only when the sender is gone, and that is in `self`.
            let _ = count.changed().await;
        }
    }
}

/// Looks at the file until told to stop. It also sees what this process writes; that makes good, a moment later, a
/// change that one of several waiting tasks took from another.
pub(crate) fn poll(connection: &Connection, changes: &Arc<Changes>, stop: &Receiver<()>) {
    let mut last = version(connection);
    while stop.recv_timeout(POLL) == Err(RecvTimeoutError::Timeout) {
        let found = version(connection);
        if found != last {
            last = found;
            changes.tell();
        }
    }
}

/// A number that moves when another connection commits; none when the file can't be read now.
fn version(connection: &Connection) -> Option<i64> {
    connection.pragma_query_value(None, "data_version", |row| row.get(0)).ok()
}
