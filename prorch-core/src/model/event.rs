use std::fmt;

use super::{
    Answered, Jitter, MessageId, Outcome, Position, Removal, RunId, Status, Text, UndoPhase, Verdict,
};

/// What can happen to a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A call came back. The jitter spreads the delay of a retry.
    Answered(Answered, Jitter),
    /// The steps at these positions are about to be called for the first time, and at most once: that is written down
    /// before.
    Intended(Vec<Position>),
    /// A worker came to a run whose first stage has more than one member.
    Begun,
    /// The list that the stage takes has so many items.
    Opened(u32),
    /// A run that a record of this one started has ended.
    ChildEnded {
        /// The record.
        position: Position,
        /// The run that ended.
        child: RunId,
        /// How it ended.
        status: Status,
        /// Why it failed or was cancelled.
        reason: Option<Text>,
        /// The message that said so.
        message: MessageId,
    },
    /// A step of the stage has failed or was cancelled, and no call is under way any more; or, of a run that is undone,
    /// nothing is left of what was undone next.
    Settled,
    /// The deadline of the step at this position passed.
    Expired(Position),
    /// The step at this position cut off its worker too often.
    Crashed(Position),
    /// This worker can't go on with the run, for this reason; another one may.
    Leave(Text),
    /// Somebody cancels the run.
    Cancel {
        /// Why.
        reason: Text,
        /// The message that said so, when it came through the inbox.
        message: Option<MessageId>,
    },
    /// Somebody pauses the run.
    Pause {
        /// The message that said so, when it came through the inbox.
        message: Option<MessageId>,
    },
    /// Somebody lets a paused run go on.
    Resume {
        /// The message that said so, when it came through the inbox.
        message: Option<MessageId>,
    },
    /// Somebody lets a failed run try again.
    Retry,
    /// Somebody says what became of the step at this position, which is in doubt.
    Verdict(Position, Verdict),
    /// The run is removed, or so much of it.
    Remove(Removal),
}

/// The kinds of [`Event`], the outcomes of a call told apart: the rows of the chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A call answered: the step is finished.
    Finished,
    /// A call answered: the step is pending.
    Pending,
    /// A call answered: the step waits for a signal.
    AwaitSignal,
    /// A call answered: the step is a run of its own.
    Spawn,
    /// A call answered: the ticks of a schedule start runs.
    Ticked,
    /// A call answered with an error that may be retried.
    Errored,
    /// A call answered: the step can't be done.
    Failed,
    /// A call answered: nothing came of the step's first call.
    StartAgain,
    /// A call answered: the step cancels the run.
    Cancelled,
    /// The first call of a step that is called at most once is about to be made.
    Intended,
    /// A worker came to a run whose first stage has more than one member.
    Begun,
    /// The length of the list that the stage takes became known.
    Opened,
    /// A run that a step started has finished.
    ChildFinished,
    /// A run that a step started has failed.
    ChildFailed,
    /// A run that a step started was cancelled.
    ChildCancelled,
    /// A step of the stage ended badly, and the calls beside it have ended.
    Settled,
    /// The step's deadline passed.
    Expired,
    /// The step cut off its worker too often.
    Crashed,
    /// A worker could not go on with the run.
    Leave,
    /// A cancel from outside.
    Cancel,
    /// A pause from outside.
    Pause,
    /// A resume from outside.
    Resume,
    /// A retry from outside.
    Retry,
    /// It was said from outside what became of a step that is in doubt.
    Verdict,
    /// A removal from outside.
    Remove,
}

impl Event {
    /// Which row of the chart this is.
    #[must_use]
    pub const fn kind(&self) -> EventKind {
        match self {
            Self::Answered(answered, _) => match answered.outcome {
                Outcome::Finished(_) => EventKind::Finished,
                Outcome::Pending(_) => EventKind::Pending,
                Outcome::AwaitSignal { .. } => EventKind::AwaitSignal,
                Outcome::Spawn { .. } => EventKind::Spawn,
                Outcome::Ticked { .. } => EventKind::Ticked,
                Outcome::Errored { .. } => EventKind::Errored,
                Outcome::Failed(..) => EventKind::Failed,
                Outcome::StartAgain => EventKind::StartAgain,
                Outcome::Cancelled(_) => EventKind::Cancelled,
            },
            Self::Intended(_) => EventKind::Intended,
            Self::Begun => EventKind::Begun,
            Self::Opened(_) => EventKind::Opened,
            Self::ChildEnded { status: Status::Finished, .. } => EventKind::ChildFinished,
            Self::ChildEnded { status: Status::Cancelled, .. } => EventKind::ChildCancelled,
            Self::ChildEnded { .. } => EventKind::ChildFailed,
            Self::Settled => EventKind::Settled,
            Self::Expired(_) => EventKind::Expired,
            Self::Crashed(_) => EventKind::Crashed,
            Self::Leave(_) => EventKind::Leave,
            Self::Cancel { .. } => EventKind::Cancel,
            Self::Pause { .. } => EventKind::Pause,
            Self::Resume { .. } => EventKind::Resume,
            Self::Retry => EventKind::Retry,
            Self::Verdict(..) => EventKind::Verdict,
            Self::Remove(_) => EventKind::Remove,
        }
    }
}

/// An event that says nothing to a run in its status: nothing changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a run that is {status} can't be {}{}", verb(*event), because(*undo, *sealed))]
pub struct Refusal {
    /// The run's status.
    pub status: Status,
    /// What was asked of it.
    pub event: EventKind,
    /// How far it is with being undone, if it is or was.
    pub undo: Option<UndoPhase>,
    /// Whether it is being removed.
    pub sealed: bool,
}

/// What being removed or undone has to do with it.
const fn because(undo: Option<UndoPhase>, sealed: bool) -> &'static str {
    if sealed {
        return ": it is being removed";
    }
    match undo {
        None => "",
        Some(UndoPhase::Ending | UndoPhase::Undoing) => {
            ": what its steps have done is being undone, and then it ends"
        }
        Some(UndoPhase::Undone) => ": what its steps had done is undone; restart it",
        Some(UndoPhase::Stuck) => {
            ": what its steps had done can't be undone; retry it, and the undoing is tried again"
        }
    }
}

fn verb(event: EventKind) -> impl fmt::Display {
    match event {
        EventKind::Cancel => "cancelled",
        EventKind::Pause => "paused",
        EventKind::Resume => "resumed",
        EventKind::Retry => "retried",
        EventKind::Verdict => "settled",
        EventKind::Remove => "removed",
        EventKind::Leave => "left",
        EventKind::AwaitSignal => "signalled",
        _ => "changed by a step",
    }
}
