use std::time::Duration;

/// Whether something may be due that this worker does not hold, and when it should look again.
#[derive(Debug)]
pub(super) struct Look {
    /// A claim may find something.
    now: bool,
    /// Something changed since the claim under way was sent: what it doesn't find may be there all the same.
    changed: bool,
    /// A claim at this time (by the clock's `elapsed`) may find something.
    at: Option<Duration>,
    /// The store is being asked, or has said, when that is.
    asked: bool,
    /// Which question that is: what is said to an earlier one is out of date.
    question: u64,
}

impl Look {
    /// A worker looks at once.
    pub(super) const fn new() -> Self {
        Self { now: true, changed: false, at: None, asked: false, question: 0 }
    }

    pub(super) const fn is_due(&self) -> bool {
        self.now
    }

    /// Something may have become due.
    pub(super) const fn soon(&mut self) {
        self.now = true;
        self.changed = true;
    }

    /// A claim is sent.
    pub(super) const fn sent(&mut self) {
        self.changed = false;
    }

    /// A claim brought less than it might have: nothing more is due, unless something changed meanwhile; when that
    /// changes is not known yet.
    pub(super) const fn nothing(&mut self) {
        *self =
            Self { now: self.changed, changed: false, at: None, asked: false, question: self.question + 1 };
    }

    /// Whether the store should be asked when something is due; from now on it counts as asked.
    pub(super) const fn should_ask(&mut self) -> bool {
        let ask = !self.now && !self.asked;
        self.asked |= ask;
        ask
    }

    /// The number of the question that counts.
    pub(super) const fn question(&self) -> u64 {
        self.question
    }

    /// The store has said to this question when something is due. An answer to an earlier one comes too late: it
    /// would put off what has become due since.
    pub(super) fn answered(&mut self, question: u64, at: Duration) {
        if question == self.question {
            self.at = Some(at);
        }
    }

    /// Something is due at this time.
    pub(super) const fn not_before(&mut self, at: Duration) {
        self.at = Some(at);
    }

    /// When to look, as far as it is known.
    pub(super) const fn at(&self) -> Option<Duration> {
        if self.now { None } else { self.at }
    }

    /// Notes the time.
    pub(super) fn tick(&mut self, elapsed: Duration) {
        if self.at.is_some_and(|at| at <= elapsed) {
            self.at = None;
            self.now = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_answer_does_not_put_off_what_became_due_since() {
        let mut look = Look::new();
        look.nothing();
        let first = look.question();
        look.soon();
        look.sent();
        look.nothing();
        look.answered(look.question(), Duration::from_secs(1));
        look.answered(first, Duration::from_secs(60));
        assert_eq!(look.at(), Some(Duration::from_secs(1)));
    }

    #[test]
    fn a_change_during_a_claim_is_looked_at_after_it() {
        let mut look = Look::new();
        look.sent();
        look.soon();
        look.nothing();
        assert!(look.is_due());
        look.sent();
        look.nothing();
        assert!(!look.is_due());
    }
}
