use fastrand::Rng;

use super::Fault;
use super::write::Write;

/// When what happens.
#[derive(Debug)]
pub(super) enum Plan {
    /// This fault at this write, counted from 0.
    At(Fault, u64),
    /// At any call, with these odds.
    Odds(Odds, Rng),
    /// This fault at the next write, and whether the next read is refused.
    Told(Option<Fault>, bool),
}

/// How often faults happen, and which.
#[derive(Clone, Debug)]
pub struct Odds {
    /// So many of a thousand calls, reads and writes alike.
    pub per_thousand: u64,
    /// One of these, each as likely as the others; a read, and a write without a claim, is refused where another fault
    /// says nothing to it.
    pub faults: Vec<Fault>,
    /// The same seed gives the same faults to the same calls.
    pub seed: u64,
}

impl Odds {
    /// Every tenth call, by [`Fault::PASSING`].
    #[must_use]
    pub fn one_in_ten(seed: u64) -> Self {
        Self { per_thousand: 100, faults: Fault::PASSING.to_vec(), seed }
    }
}

impl Plan {
    pub(super) fn at_write(&mut self, number: u64, write: &Write) -> Option<Fault> {
        let fault = match self {
            Self::At(fault, at) => (*at == number).then_some(*fault),
            Self::Odds(odds, dice) => odds.roll(dice),
            Self::Told(fault, _) => fault.take(),
        };
        match fault {
            Some(Fault::DiesBetween) if write.first_half().is_none() => None,
            Some(Fault::ClaimRefused) if !write.is_turn_with_a_claim() => Some(Fault::Refused),
            fault => fault,
        }
    }

    pub(super) fn at_read(&mut self) -> Option<Fault> {
        match self {
            Self::At(..) => None,
            Self::Told(_, refused) => std::mem::take(refused).then_some(Fault::Refused),
            // What is lost of a write is for a read that it fails.
            Self::Odds(odds, dice) => {
                odds.roll(dice).map(|fault| if fault == Fault::Slow { fault } else { Fault::Refused })
            }
        }
    }

    /// How many calls later a write arrives that is late.
    pub(super) fn lateness(&mut self) -> u64 {
        match self {
            Self::At(..) => 2,
            // When it is told to: see `FaultyRepository::settle`.
            Self::Told(..) => u64::MAX / 2,
            Self::Odds(_, dice) => 1 + dice.u64(..20),
        }
    }
}

impl Odds {
    fn roll(&self, dice: &mut Rng) -> Option<Fault> {
        let happens = dice.u64(..1_000) < self.per_thousand;
        if happens { dice.choice(&self.faults).copied() } else { None }
    }
}
