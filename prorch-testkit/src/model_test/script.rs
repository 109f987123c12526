//! What the steps of a run do: worked out from a number that the run is started with.

use std::time::Duration;

use fastrand::Rng;

/// What a step does, call by call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Script {
    /// What it answers; the number of those that were committed says which is next.
    pub(super) phases: Vec<Phase>,
}

/// One answer, and what comes before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Phase {
    /// So many calls err first.
    pub(super) errs: u32,
    /// The erring ones panic.
    pub(super) panics: bool,
    /// The call goes on only when it is told to.
    pub(super) is_held: bool,
    pub(super) then: Then,
}

/// An answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Poll(Option<Duration>),
    Await(Name, Option<Duration>),
    Finish,
    Cancel,
    /// That it can't be done, until somebody mends what is in its way.
    Fail,
    /// An error, as often as it is called until somebody mends what is in its way.
    Err,
}

/// The name of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Name {
    Go,
    Paid,
}

impl Name {
    pub(super) const ALL: [Self; 2] = [Self::Go, Self::Paid];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Go => "go",
            Self::Paid => "paid",
        }
    }
}

/// So many errors in a row fail a step: more than a script has before an answer.
pub(super) const MAX_ATTEMPTS: u32 = 4;

impl Script {
    /// What the step with this number does in a run, or part of one, with this seed. With the seed 0 all is done at once.
    pub(super) fn of(seed: u64, step: usize) -> Self {
        if seed == 0 {
            return Self { phases: vec![Phase::of(Then::Finish)] };
        }
        let mut dice = Rng::with_seed(seed.wrapping_mul(31).wrapping_add(step as u64));
        let mut phases = Vec::new();
        while dice.u32(..100) < 45 && phases.len() < 3 {
            phases.push(Phase::drawn(Then::on_the_way(&mut dice), &mut dice));
        }
        phases.push(Phase::drawn(Then::at_the_end(&mut dice), &mut dice));
        Self { phases }
    }

    /// The signal for which the answer before this phase waits.
    pub(super) fn awaited(&self, phase: usize) -> Option<(Name, Option<Duration>)> {
        match self.phases.get(phase.checked_sub(1)?)?.then {
            Then::Await(name, limit) => Some((name, limit)),
            _ => None,
        }
    }
}

impl Phase {
    const fn of(then: Then) -> Self {
        Self { errs: 0, panics: false, is_held: false, then }
    }

    fn drawn(then: Then, dice: &mut Rng) -> Self {
        let errs = if dice.u32(..100) < 20 { dice.u32(1..MAX_ATTEMPTS) } else { 0 };
        Self { errs, panics: dice.u32(..100) < 30, is_held: dice.u32(..100) < 25, then }
    }
}

impl Then {
    fn on_the_way(dice: &mut Rng) -> Self {
        let after = dice.bool().then(|| Duration::from_secs(dice.u64(..15)));
        let limit = (dice.u32(..100) < 35).then(|| Duration::from_secs(dice.u64(..25)));
        match dice.u32(..4) {
            0 | 1 => Self::Poll(after),
            2 => Self::Await(Name::Go, limit),
            _ => Self::Await(Name::Paid, limit),
        }
    }

    fn at_the_end(dice: &mut Rng) -> Self {
        match dice.u32(..100) {
            0..5 => Self::Cancel,
            5..13 => Self::Fail,
            13..20 => Self::Err,
            _ => Self::Finish,
        }
    }
}
