use std::time::Duration;

use super::{CauseKind, MessageId, Metadata, NewRun, Position, RunId, StepProgress, Text, Timestamp};

/// Which of a step's functions answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// `on_start`: the step was begun.
    Start,
    /// `on_continue`: the step was asked again.
    Continue,
    /// `on_uncertain`: it is not known what became of the step's first call, and that is not made a second time.
    Uncertain,
    /// `compensate`: the step is undone.
    Undo,
}

/// What the user's code answered, as a value, before anything is written.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The step is done and hands on this JSON.
    Finished(Text),
    /// The step is not done: ask again after this time, or after the step's poll interval.
    Pending(Option<Duration>),
    /// The step is not done: ask again when the signal is there, or when the time is up.
    AwaitSignal {
        /// The signal's name.
        name: Text,
        /// How long to wait at most.
        limit: Option<Duration>,
    },
    /// The step is a pipeline of its own: start a run of it.
    Spawn {
        /// The run to start.
        run: RunId,
        /// What it is started with, as JSON.
        input: Text,
    },
    /// Nothing came of the step's first call: it may be made again. Only `on_uncertain` answers this.
    StartAgain,
    /// The step is a schedule: start these runs, and ask again at the next tick, or when it is changed.
    Ticked {
        /// The runs to start; most often one, or none.
        starts: Vec<NewRun>,
        /// The next tick; none when there is none any more.
        next: Option<Timestamp>,
    },
    /// The step says that the run should end.
    Cancelled(Text),
    /// The step can't be done.
    Failed(CauseKind, Text),
    /// The call erred, ran out of time or panicked: try again by the policy, or after the given time.
    Errored {
        /// What went wrong.
        error: Text,
        /// When to try again, if the step knows better than the policy.
        retry_after: Option<Duration>,
    },
}

/// What a call leaves beside its outcome. It counts only with a call that returned `Ok`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kept {
    /// The step's fields as JSON.
    pub state: Option<Text>,
    /// What it pinned to the run.
    pub run_metadata: Metadata,
    /// What it pinned to itself.
    pub step_metadata: Metadata,
    /// How far it says that it has come.
    pub progress: Option<StepProgress>,
    /// The signals that it took.
    pub taken: Vec<MessageId>,
}

/// A call that came back.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// Which record was called.
    pub position: Position,
    /// Which function was the last to answer.
    pub hook: Hook,
    /// The attempt that the call was told.
    pub attempt: u32,
    /// What it answered.
    pub outcome: Outcome,
    /// What it leaves.
    pub kept: Kept,
}
