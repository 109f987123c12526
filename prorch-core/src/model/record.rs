use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Compensation, RunId, Status, Text, Timestamp};

/// What a user pins to a run or a step: names with any JSON value.
pub type Metadata = BTreeMap<String, serde_json::Value>;

/// Where a record stands in its run: the stage, and the place within the stage.
///
/// Positions sort in the order in which a run passes through them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "i64", into = "i64")]
pub struct Position {
    /// Which stage of the pipeline, from 0.
    pub stage: u32,
    /// Which member of the stage, from 0; a stage of one step has only member 0.
    pub item: u32,
}

impl Position {
    /// The first record of `stage`.
    #[must_use]
    pub const fn of_stage(stage: u32) -> Self {
        Self { stage, item: 0 }
    }
}

/// One integer that sorts like the position: the stage above, the item in the lower 32 bits.
impl From<Position> for i64 {
    fn from(position: Position) -> Self {
        i64::from(position.stage) << 32 | i64::from(position.item)
    }
}

/// The inverse of the packing; the sign bit of a number that no position has is ignored.
impl From<i64> for Position {
    fn from(packed: i64) -> Self {
        let packed = packed.unsigned_abs();
        Self { stage: (packed >> 32) as u32, item: (packed & 0xffff_ffff) as u32 }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.stage, self.item)
    }
}

/// How a run stands in a stage that has more than one member.
///
/// Members are entered in order, so many at a time; which of the entered ones are open, and which failed, their records
/// say. These numbers say the rest without reading what has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fan {
    /// Which stage.
    pub stage: u32,
    /// How many members it has; none as long as the list of an `each` was not looked at.
    pub width: Option<u32>,
    /// How many have been entered: those below have records, the others have none yet.
    pub entered: u32,
    /// How many have finished.
    pub finished: u32,
    /// All below have finished.
    pub low: u32,
}

/// The run that a record started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Child {
    /// Its id.
    pub run: RunId,
    /// 0 for the first; one more for each that was started after a retry.
    pub generation: u32,
}

/// How far a step says that it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepProgress {
    /// Units done.
    pub done: u64,
    /// Units in all.
    pub total: u64,
}

/// One step of one run, as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Where it stands in the run.
    pub position: Position,
    /// The step's name; a step that stands in the list a second time is `name#2`.
    pub name: Text,
    /// Where it stands in its life.
    pub status: Status,
    /// Whether a failed step goes on where it was when its run is retried (`on_continue`, with its last state), rather
    /// than beginning anew (`on_start`): it does unless the step itself said that it can't be done.
    pub resumable: bool,
    /// The number of the next call's attempt, from 1; calls that a crash cut off come on top (see `Run::crashes`).
    pub attempt: u32,
    /// Errors in a row since the step was entered or last answered `pending`.
    pub errors: u32,
    /// The step's fields as JSON, as last committed; none before the first committed `pending`.
    pub state: Option<Text>,
    /// What the step handed on, as JSON; there when it is finished.
    pub output: Option<Text>,
    /// The last error's text, or why the step was cancelled.
    pub error: Option<Text>,
    /// When it wants to be called next; none when it waits for a signal without limit, or ended.
    pub due_at: Option<Timestamp>,
    /// The name of the signal that it waits for. `due_at` is then the time limit.
    pub awaits: Option<Text>,
    /// How far it says that it has come.
    pub progress: Option<StepProgress>,
    /// What the step pinned to itself.
    pub metadata: Metadata,
    /// The run that the step is, when it is a pipeline of its own.
    pub child: Option<Child>,
    /// When it was written down that the first call of a step which is called at most once is about to be made. From then
    /// until an answer is stored it is in doubt whether the call was made, and it is not made a second time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Timestamp>,
    /// How far it is with being undone; none when it isn't, or is not yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Box<Compensation>>,
    /// When the run came to this step; the step's deadline counts from here.
    pub entered_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

impl StepRecord {
    /// A record as it stands when a run comes to a step.
    #[must_use]
    pub fn new(position: Position, name: Text, now: Timestamp) -> Self {
        Self {
            position,
            name,
            status: Status::Created,
            resumable: false,
            attempt: 1,
            errors: 0,
            state: None,
            output: None,
            error: None,
            due_at: Some(now),
            awaits: None,
            progress: None,
            metadata: Metadata::new(),
            child: None,
            intent: None,
            undo: None,
            entered_at: now,
            ended_at: None,
        }
    }

    /// How many bytes of JSON it holds: its state and its output.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        let undo = self.undo.as_ref().and_then(|undo| undo.state.as_ref());
        [self.state.as_ref(), self.output.as_ref(), undo].into_iter().flatten().map(|text| text.len()).sum()
    }

    /// Whether the step has not ended.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        !self.status.is_terminal()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_position_sorts_like_the_position() {
        let positions =
            [(0, 0), (0, 7), (1, 0), (1, u32::MAX), (2, 0)].map(|(stage, item)| Position { stage, item });
        let packed = positions.map(i64::from);
        assert!(packed.is_sorted());
        assert_eq!(packed.map(Position::from), positions);
    }
}
