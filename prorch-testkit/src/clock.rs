//! A clock that is wrong.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use prorch_core::clock::{Clock, SystemClock};
use prorch_core::repository::Timestamp;

/// The system's clock, wrong by as much as a test says, and as often. What it says of time that passed stays right, as on
/// a machine whose clock is set by hand. Clones are one clock.
#[derive(Clone, Debug)]
pub struct UnsteadyClock {
    system: SystemClock,
    wrong_by: Arc<AtomicI64>,
    lateness: Duration,
}

impl UnsteadyClock {
    /// A clock that is wrong by so many seconds: ahead, or (negative) behind.
    #[must_use]
    pub fn wrong_by(seconds: i64) -> Self {
        let wrong_by = Arc::new(AtomicI64::new(seconds * 1_000_000));
        Self { system: SystemClock::new(), wrong_by, lateness: Duration::ZERO }
    }

    /// A clock by which everybody sleeps longer than they wanted: what a machine under load does.
    #[must_use]
    pub fn late(self, lateness: Duration) -> Self {
        Self { lateness, ..self }
    }

    /// Lets the time of day jump: from now on it is wrong by so many seconds.
    pub fn jump(&self, seconds: i64) {
        self.wrong_by.store(seconds * 1_000_000, Ordering::SeqCst);
    }
}

impl Clock for UnsteadyClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.system.now().as_micros() + self.wrong_by.load(Ordering::SeqCst))
    }

    fn elapsed(&self) -> Duration {
        self.system.elapsed()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let (in_time, lateness) = (self.system.sleep(duration), self.lateness);
        Box::pin(async move {
            in_time.await;
            if !lateness.is_zero() {
                tokio::time::sleep(lateness).await;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_day_jumps_and_the_time_that_passed_does_not() {
        let clock = UnsteadyClock::wrong_by(3_600);
        let (ahead, elapsed) = (clock.now(), clock.elapsed());
        clock.jump(-3_600);
        let behind = clock.now();
        let apart = ahead.saturating_since(behind);
        assert!(apart > Duration::from_secs(7_000) && apart <= Duration::from_secs(7_200), "{apart:?}");
        assert!(clock.elapsed() >= elapsed && clock.elapsed() < elapsed + Duration::from_secs(200));
    }
}
