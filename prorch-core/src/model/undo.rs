//! How far a run is with undoing what its steps have done, and what of it is to be undone next.

use std::fmt;
use std::ops::Bound;

use serde::{Deserialize, Serialize};

use super::{Cause, Part, Plan, Position, RunState, Status, StepRecord, StoredRun, Text, Timestamp};

/// After what ends the runs of a pipeline are undone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoOn {
    /// When a run fails.
    #[serde(default)]
    pub failure: bool,
    /// When a run is cancelled, by somebody or by a step of its own.
    #[serde(default)]
    pub cancel: bool,
}

impl UndoOn {
    /// Nothing is undone.
    pub const NEVER: Self = Self { failure: false, cancel: false };

    /// Whether nothing ever is undone.
    #[must_use]
    pub fn is_never(&self) -> bool {
        *self == Self::NEVER
    }

    /// Whether a run that would end like this is undone before it does.
    #[must_use]
    pub const fn covers(&self, end: Status) -> bool {
        match end {
            Status::Failed => self.failure,
            Status::Cancelled => self.cancel,
            Status::Created | Status::Pending | Status::Finished => false,
        }
    }
}

/// How far a run is with undoing what its steps have done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// What is being done about it.
    pub phase: UndoPhase,
    /// All from here on is undone, or never was to be: what stands before this position is still to be undone.
    pub below: Position,
    /// Why the run would have ended, kept here while the reason of its end is that it could not be undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
}

/// The phases of [`Undo`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UndoPhase {
    /// The runs that it has started were cancelled, and are waited for.
    Ending,
    /// Its steps are undone, the last one first.
    Undoing,
    /// All is undone, and the run has ended.
    Undone,
    /// A step could not be undone, and the run has failed.
    Stuck,
}

/// The undoing of one step, beside the step's own record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Compensation {
    /// Where it stands in its life; one that failed for good is failed.
    pub status: Status,
    /// The number of the next call's attempt, from 1.
    pub attempt: u32,
    /// Errors in a row since it was begun or last answered `pending`.
    pub errors: u32,
    /// The step's fields as JSON, as its undoing left them last; none before its first committed answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Text>,
    /// The last error's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Text>,
    /// When it wants to be called next; none when it waits for a signal without limit, or ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
    /// The name of the signal that it waits for. `due_at` is then the time limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaits: Option<Text>,
    /// When it was first answered for.
    pub entered_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

impl Compensation {
    /// One that was not answered for.
    #[must_use]
    pub const fn new(now: Timestamp) -> Self {
        Self {
            status: Status::Created,
            attempt: 1,
            errors: 0,
            state: None,
            error: None,
            due_at: Some(now),
            awaits: None,
            entered_at: now,
            ended_at: None,
        }
    }
}

impl fmt::Display for UndoOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.failure, self.cancel) {
            (false, false) => f.write_str("never undone"),
            (true, false) => f.write_str("undone on failure"),
            (false, true) => f.write_str("undone on cancel"),
            (true, true) => f.write_str("undone on failure and cancel"),
        }
    }
}

impl RunState {
    /// Whether the run does nothing else any more than to undo what its steps have done.
    #[must_use]
    pub fn is_undoing(&self) -> bool {
        matches!(self.undo_phase(), Some(UndoPhase::Ending | UndoPhase::Undoing))
    }

    /// How far the run is with being undone; none for one that isn't and wasn't.
    #[must_use]
    pub fn undo_phase(&self) -> Option<UndoPhase> {
        self.undo.as_ref().map(|undo| undo.phase)
    }

    /// Before which position all is still to be undone, when some of it is or was tried.
    #[must_use]
    pub fn undo_below(&self) -> Option<Position> {
        let undo = self.undo.as_ref()?;
        matches!(undo.phase, UndoPhase::Undoing | UndoPhase::Stuck).then_some(undo.below)
    }
}

impl StoredRun {
    /// The stage whose steps are undone next, where everything before `below` is still to be undone.
    pub(super) fn undo_stage(&self, below: Position) -> u32 {
        self.records.range(..below).next_back().map_or(0, |(position, _)| position.stage)
    }

    /// Between which positions the records stand that are worked on at the moment: the open end of the stage that the run
    /// is at, or what is undone next.
    pub(super) fn frontier_bounds(&self) -> (Bound<Position>, Bound<Position>) {
        let first = Position::of_stage(self.stage());
        let Some(below) = self.run.state.undo_below() else {
            return (Bound::Included(first), Bound::Unbounded);
        };
        if first >= below {
            return (Bound::Included(below), Bound::Excluded(below));
        }
        let window = self.records.range(first..below).rev().take(Part::UNDO_AT_ONCE as usize);
        let lowest = window.last().map_or(below, |(position, _)| *position);
        (Bound::Included(lowest), Bound::Excluded(below))
    }
}

impl Plan {
    /// Before which position there is still something that may have to be undone, where nothing is from `below` on.
    pub(super) fn undo_below(&self, mut below: Position) -> Position {
        while below != Position::default() {
            let stage = if below.item == 0 { below.stage - 1 } else { below.stage };
            // Of a stage that the plan does not know it is not known either.
            if self.stage(stage).is_none_or(|stage| stage.steps().iter().any(|step| step.undoes)) {
                break;
            }
            below = Position::of_stage(stage);
        }
        below
    }

    /// Whether the step of this record is to be undone, and isn't. A step that is a run of its own has done nothing when
    /// that was never started; of any other that was come to it is not known.
    pub(super) fn is_to_be_undone(&self, record: &StepRecord) -> bool {
        let Some(step) = self.step(record.position) else { return true };
        let never_began = step.child.is_some() && record.child.is_none();
        let is_undone = record.undo.as_ref().is_some_and(|undo| undo.status == Status::Finished);
        step.undoes && !never_began && !is_undone
    }

    /// Those of the records that are undone side by side, the last first: as many as the stage has side by side.
    pub(super) fn undone_next<'r>(
        &self,
        records: impl Iterator<Item = &'r StepRecord>,
    ) -> Vec<&'r StepRecord> {
        let mut next: Vec<&StepRecord> = records.filter(|record| self.is_to_be_undone(record)).collect();
        next.sort_by_key(|record| std::cmp::Reverse(record.position));
        let stage = next.first().and_then(|record| self.stage(record.position.stage));
        next.truncate(stage.map_or(1, |stage| stage.side_by_side().max(1) as usize));
        next
    }
}

impl StepRecord {
    /// Whether its undoing failed for good.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.undo.as_ref().is_some_and(|undo| undo.status == Status::Failed)
    }

    /// Whether a run that it started is under way.
    pub(super) fn waits_for_child(&self) -> bool {
        self.status == Status::Pending && self.child.is_some()
    }
}
