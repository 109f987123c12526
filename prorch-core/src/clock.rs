//! Where time comes from: the system's clock, or one that a test moves.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use crate::model::Timestamp;

/// Where an orchestrator reads the time, and by what it sleeps.
pub trait Clock: Send + Sync + 'static {
    /// The time of day. An orchestrator reads it once, when it is built; from then on its time passes by
    /// [`elapsed`](Self::elapsed), so that nothing happens when somebody sets the clock.
    fn now(&self) -> Timestamp;

    /// The time that passed since some fixed point. It never goes back and never jumps: leases end by it.
    fn elapsed(&self) -> Duration;

    /// Returns when this time has passed, by [`elapsed`](Self::elapsed).
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// The time of this machine, read once and counted on from there by the monotonic clock: when somebody sets the
/// machine's clock while the process runs, no lease is lost by it.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    anchor: Timestamp,
    started: Instant,
}

impl SystemClock {
    /// A clock that is right now.
    #[must_use]
    pub fn new() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { anchor: Timestamp::from_micros(0) + since_1970, started: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        self.anchor + self.started.elapsed()
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// A clock that stands still until a test moves it. Clones are one clock.
#[derive(Clone, Debug)]
pub struct ManualClock {
    shared: Arc<ManualShared>,
}

#[derive(Debug)]
struct ManualShared {
    now: Mutex<Timestamp>,
    elapsed: watch::Sender<Duration>,
}

impl ManualClock {
    /// A clock that stands at `now`.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self {
            shared: Arc::new(ManualShared {
                now: Mutex::new(now),
                elapsed: watch::Sender::new(Duration::ZERO),
            }),
        }
    }

    /// Lets time pass, and wakes who sleeps until then.
    pub fn advance(&self, by: Duration) {
        let later = *self.time() + by;
        *self.time() = later;
        self.shared.elapsed.send_modify(|elapsed| *elapsed += by);
    }

    /// Sets the time of day, forward or back, as an operator does to a machine: no time passes by it.
    pub fn set(&self, now: Timestamp) {
        *self.time() = now;
    }

    fn time(&self) -> MutexGuard<'_, Timestamp> {
        self.shared.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for ManualClock {
    /// A clock that stands at 2026-01-01T00:00:00Z.
    fn default() -> Self {
        Self::at(Timestamp::from_micros(1_767_225_600_000_000))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.time()
    }

    fn elapsed(&self) -> Duration {
        *self.shared.elapsed.borrow()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut elapsed = self.shared.elapsed.subscribe();
        let until = self.elapsed() + duration;
        Box::pin(async move {
            if elapsed.wait_for(|elapsed| *elapsed >= until).await.is_err() {
                std::future::pending().await
            }
        })
    }
}
