//! What happens, drawn by chance.

use std::time::Duration;

use fastrand::Rng;

use super::gate::Gate;
use super::pipelines::Start;
use super::script::Name;
use super::shapes::Shape;
use crate::faults::Fault;

/// So many workers share the store.
pub(super) const WORKERS: usize = 3;

/// Something that happens. A run is named by a number that is taken modulo how many there are, so that an action means
/// something also when others are left out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Action {
    Start(Start),
    Signal(usize, Name),
    Cancel(usize),
    Pause(usize),
    Resume(usize),
    Retry(usize, Mend),
    /// The calls of the run that wait go on.
    Release(usize),
    /// A worker begins, with a clock that is so many seconds ahead, or behind.
    Boot(usize, i64),
    Stop(usize),
    Crash(usize),
    /// A worker, its clock and all, stands still.
    Freeze(usize, Gate),
    Thaw(usize),
    /// Something happens to the next write of a worker, or (behind the last) of who starts runs and tells them things.
    Fault(usize, Fault),
    RefusedRead(usize),
    /// What is late arrives.
    Arrive,
    /// Time passes, in small steps.
    Pass(Duration),
    /// Time passes at once.
    Jump(Duration),
}

/// Whether what was in the way of a run's steps is mended before it is retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mend {
    Yes,
    No,
}

/// What happens one after the other.
pub(super) fn draw(dice: &mut Rng) -> Vec<Action> {
    let mut actions = vec![Action::Boot(0, clock(dice)), start(dice)];
    actions.extend((0..dice.usize(8..40)).map(|_| next(dice)));
    actions
}

fn next(dice: &mut Rng) -> Action {
    let (run, worker) = (dice.usize(..8), dice.usize(..WORKERS));
    match dice.u32(..100) {
        0..14 => start(dice),
        14..26 => Action::Signal(run, if dice.bool() { Name::Go } else { Name::Paid }),
        26..31 => Action::Cancel(run),
        31..36 => Action::Pause(run),
        36..42 => Action::Resume(run),
        42..47 => Action::Retry(run, if dice.bool() { Mend::Yes } else { Mend::No }),
        47..55 => Action::Release(run),
        55..61 => Action::Boot(worker, clock(dice)),
        61..63 => Action::Stop(worker),
        63..67 => Action::Crash(worker),
        67..71 => Action::Freeze(worker, if dice.bool() { Gate::Before } else { Gate::After }),
        71..75 => Action::Thaw(worker),
        75..82 => Action::Fault(dice.usize(..=WORKERS), fault(dice)),
        82..84 => Action::RefusedRead(dice.usize(..=WORKERS)),
        84..87 => Action::Arrive,
        87..96 => Action::Pass(Duration::from_secs([1, 5, 20, 40][dice.usize(..4)])),
        _ => Action::Jump(Duration::from_secs([12, 31, 70][dice.usize(..3)])),
    }
}

fn start(dice: &mut Rng) -> Action {
    Action::Start(Start {
        shape: Shape::ALL[dice.usize(..Shape::ALL.len())],
        seed: if dice.u32(..10) == 0 { 0 } else { dice.u64(1..1_000_000) },
        key: (dice.u32(..100) < 30).then(|| dice.u8(..2)),
        delay: if dice.u32(..100) < 20 { Duration::from_secs(10) } else { Duration::ZERO },
    })
}

/// So much a worker's clock is wrong: less than makes a lease look odd.
fn clock(dice: &mut Rng) -> i64 {
    if dice.bool() { 0 } else { dice.i64(-10..=10) }
}

fn fault(dice: &mut Rng) -> Fault {
    const FAULTS: [Fault; 8] = [
        Fault::DiesBefore,
        Fault::DiesBetween,
        Fault::DiesAfter,
        Fault::Refused,
        Fault::AnswerLost,
        Fault::NeverArrived,
        Fault::Late,
        Fault::ClaimRefused,
    ];
    FAULTS[dice.usize(..FAULTS.len())]
}
