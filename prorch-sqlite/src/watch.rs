//! Tells who waits that something may have become due.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use crate::notice::{Notice, Notices};
use crate::told::Told;

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

/// Hears what other repositories of the file tell, until nobody wants to know any more.
pub(crate) fn serve(told: &Told, changes: &Changes, notices: &mut Notices) {
    while notices.wait() == Notice::Look {
        match told.look() {
            Ok(true) => changes.tell(),
            Ok(false) => {}
            Err(error) => tracing::debug!(%error, "what other processes tell can't be read"),
        }
    }
}
