use std::time::Duration;

use super::Timestamp;

/// A fraction in `0.0 ..= 1.0`, drawn by the caller: chance comes into the state machine as an argument.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jitter(f64);

impl Jitter {
    /// No spreading: the whole delay.
    pub const NONE: Self = Self(1.0);

    /// `fraction`, brought into `0.0 ..= 1.0`.
    #[must_use]
    pub fn new(fraction: f64) -> Self {
        Self(if fraction.is_nan() { 1.0 } else { fraction.clamp(0.0, 1.0) })
    }
}

/// How often, and how patiently, a step that errs is called again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Errors in a row until the step fails for good; 1 means no retry. A committed `pending` starts the count anew.
    pub max_attempts: u32,
    /// The delay after the first error; it doubles with each further one.
    pub first_delay: Duration,
    /// No delay is longer.
    pub max_delay: Duration,
}

impl RetryPolicy {
    /// Five attempts, one second to one minute apart.
    pub const DEFAULT: Self =
        Self { max_attempts: 5, first_delay: Duration::from_secs(1), max_delay: Duration::from_secs(60) };

    /// Whether the step fails for good with the `errors`-th error in a row.
    #[must_use]
    pub const fn is_exhausted_by(&self, errors: u32) -> bool {
        errors >= self.max_attempts
    }

    /// How long to wait after the `errors`-th error in a row: exponential, half of it spread by `jitter` so that what
    /// failed together doesn't come back together ("equal jitter", M. Brooker, *Exponential Backoff And Jitter*).
    #[must_use]
    pub fn delay(&self, errors: u32, jitter: Jitter) -> Duration {
        let doublings = errors.saturating_sub(1).min(31);
        let whole = self.first_delay.saturating_mul(1 << doublings).min(self.max_delay);
        whole / 2 + (whole / 2).mul_f64(jitter.0)
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What the engine owes a step: its options, with the orchestrator's defaults filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepPolicy {
    /// What follows an error.
    pub retry: RetryPolicy,
    /// The longest that one call may take; then its future is dropped, and that is an error.
    pub timeout: Duration,
    /// The longest that the step may take from its entry to its end, over all calls, waits and restarts.
    pub deadline: Option<Duration>,
    /// How long after a plain `pending()` the step is asked again.
    pub poll: Duration,
    /// A record that is to be called later is due when a whole multiple of this has passed, so that those of many runs are
    /// due together; zero for a step that is asked alone.
    pub gather: Duration,
    /// Whether its first call is made at most once: see [`StepRecord::intent`](super::StepRecord::intent).
    pub at_most_once: bool,
}

impl StepPolicy {
    /// Retry as [`RetryPolicy::DEFAULT`], calls of at most five minutes, no deadline, a poll every second.
    pub const DEFAULT: Self = Self {
        retry: RetryPolicy::DEFAULT,
        timeout: Duration::from_secs(300),
        deadline: None,
        poll: Duration::from_secs(1),
        gather: Duration::ZERO,
        at_most_once: false,
    };

    /// When a record is due that wants to be called at this time: never before, and with the others of its step.
    #[must_use]
    pub fn gathered(&self, at: Timestamp) -> Timestamp {
        if self.gather.is_zero() { at } else { at.next_multiple_of(self.gather) }
    }
}

impl Default for StepPolicy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest() {
        let policy = RetryPolicy::DEFAULT;
        let seconds: Vec<_> = (1..=8).map(|errors| policy.delay(errors, Jitter::NONE).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(policy.delay(u32::MAX, Jitter::NONE).as_secs(), 60);
    }

    #[test]
    fn what_is_gathered_is_due_together_and_never_early() {
        let policy = StepPolicy { gather: Duration::from_millis(200), ..StepPolicy::DEFAULT };
        let due = |micros| policy.gathered(Timestamp::from_micros(micros)).as_micros();
        assert_eq!([1, 199_999, 200_000].map(due), [200_000; 3]);
        assert_eq!([200_001, 400_000, -1, -200_000].map(due), [400_000, 400_000, 0, -200_000]);
        assert_eq!(policy.gathered(Timestamp::MAX), Timestamp::MAX);
        let at = Timestamp::from_micros(7);
        assert_eq!(StepPolicy::DEFAULT.gathered(at), at, "a step that is asked alone is due when it says");
    }

    #[test]
    fn jitter_spreads_the_later_half() {
        let policy = RetryPolicy::DEFAULT;
        assert_eq!(policy.delay(1, Jitter::new(0.0)), Duration::from_millis(500));
        assert_eq!(policy.delay(1, Jitter::new(0.5)), Duration::from_millis(750));
        assert_eq!(policy.delay(1, Jitter::new(7.0)), Duration::from_secs(1));
    }
}
