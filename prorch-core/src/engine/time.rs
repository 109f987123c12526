use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use crate::clock::Clock;
use crate::model::Timestamp;

/// How far apart clocks may be without a word: the store keeps the latest time to a second.
const TOLERANCE: Duration = Duration::from_secs(1);
/// A clock that is further ahead than this is broken, and is not followed.
const TOO_FAR: Duration = Duration::from_secs(24 * 3_600);

/// The time by which this process stamps what it writes, and by which it looks what is due.
///
/// The clock is read once; from then on time passes by its monotonic side, whatever happens to the time of day. What
/// others stamped is never in its future: when the store shows a later time, this one goes forward to it. So all processes
/// that share a store come to have one time, that of the clock that is furthest ahead.
pub(crate) struct StoreTime {
    clock: Arc<dyn Clock>,
    /// What time it was, in microseconds, when the clock's `elapsed` was zero.
    zero: AtomicI64,
    /// Whether it was said that a clock is not followed.
    told: AtomicBool,
}

impl StoreTime {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let zero = AtomicI64::new(clock.now().saturating_sub(clock.elapsed()).as_micros());
        Self { clock, zero, told: AtomicBool::new(false) }
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.zero.load(Ordering::Relaxed)) + self.clock.elapsed()
    }

    /// Goes forward to what another one stamped, if that is later. Says whether it was.
    pub(crate) fn catch_up(&self, newest: Timestamp) -> bool {
        let behind = newest.saturating_since(self.now());
        if behind > TOO_FAR && !self.told.swap(true, Ordering::Relaxed) {
            tracing::error!(
                ?behind,
                "the store holds times from the far future: the clock of some machine is wrong, and is not followed"
            );
        }
        if behind <= TOLERANCE || behind > TOO_FAR {
            return false;
        }
        tracing::warn!(
            ?behind,
            "the store holds times from the future: the clock of this machine or of another is wrong; going forward"
        );
        let zero = newest.saturating_sub(self.clock.elapsed()).as_micros();
        self.zero.fetch_max(zero, Ordering::Relaxed);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn a_time_of_day_that_jumps_changes_nothing() {
        let clock = ManualClock::default();
        let began = clock.now();
        let time = StoreTime::new(Arc::new(clock.clone()));
        for jump in [began + Duration::from_secs(3_600), began.saturating_sub(Duration::from_secs(3_600))] {
            clock.set(jump);
            assert_eq!(time.now(), began);
        }
        clock.advance(Duration::from_secs(5));
        assert_eq!(time.now(), began + Duration::from_secs(5));
    }

    #[test]
    fn it_goes_forward_to_what_others_stamped_and_never_back() {
        let clock = ManualClock::default();
        let time = StoreTime::new(Arc::new(clock.clone()));
        let hour = Duration::from_secs(3_600);
        let (began, ahead) = (time.now(), time.now() + hour);
        for (stamped, now) in [
            (began + TOLERANCE, began),
            (began.saturating_sub(hour), began),
            (ahead, ahead),
            (began, ahead),
            (ahead + TOO_FAR + TOLERANCE, ahead),
        ] {
            let before = time.now();
            assert_eq!(time.catch_up(stamped), before < now, "{stamped}");
            assert_eq!(time.now(), now, "{stamped}");
        }
        clock.advance(hour);
        assert_eq!(time.now(), ahead + hour);
    }
}
