/// What happens to a worker, or to its store, at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The worker dies before the write took effect.
    DiesBefore,
    /// The worker dies in a turn, after its updates took effect and before its claim did. Says nothing to other writes.
    DiesBetween,
    /// The worker dies after the write took effect and before it was answered.
    DiesAfter,
    /// The store does not take the call, for a reason that passes. The only one, beside [`Slow`](Self::Slow), that says
    /// something to a read.
    Refused,
    /// The write took effect, and its answer is lost: the caller is told that it is unknown.
    AnswerLost,
    /// The write never arrived, and the caller is told that it is unknown, as of a COMMIT that may have been done.
    NeverArrived,
    /// The caller is told that it is unknown. The write is still under way, and takes effect some calls later, when
    /// other writes have been made.
    Late,
    /// The updates of a turn took effect, and its claim did not, for a reason that passes. Says nothing to other writes.
    ClaimRefused,
    /// The call takes effect, and is answered after a while.
    Slow,
}

impl Fault {
    /// Those that can be put at one write of a worker whose clock stands still.
    pub const AT_A_WRITE: [Self; 7] = [
        Self::DiesBefore,
        Self::DiesBetween,
        Self::DiesAfter,
        Self::Refused,
        Self::AnswerLost,
        Self::NeverArrived,
        Self::Late,
    ];

    /// Those that a worker lives through.
    pub const PASSING: [Self; 6] =
        [Self::Refused, Self::AnswerLost, Self::NeverArrived, Self::Late, Self::ClaimRefused, Self::Slow];

    /// Whether the worker dies of it.
    #[must_use]
    pub const fn kills(self) -> bool {
        matches!(self, Self::DiesBefore | Self::DiesBetween | Self::DiesAfter)
    }
}
