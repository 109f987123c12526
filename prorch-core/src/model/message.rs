use serde::{Deserialize, Serialize};

use super::{MessageId, Position, RunId, Status, Text, Timestamp};

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Mail {
    /// Something that a step may wait for.
    Signal {
        /// The name that the step waits for.
        name: Text,
        /// JSON.
        payload: Text,
    },
    /// End the run.
    Cancel {
        /// Why.
        reason: Text,
    },
    /// Make no further call until resumed.
    Pause,
    /// Go on.
    Resume,
    /// A run that a record of this run started has ended.
    Ended {
        /// The record.
        position: Position,
        /// The run that ended.
        child: RunId,
        /// How it ended.
        status: Status,
        /// Why it failed or was cancelled.
        reason: Option<Text>,
    },
}

/// Something from outside for a run. It waits in the run's inbox until a decision takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its name: posted twice, it is still one message.
    pub id: MessageId,
    /// Its place in the inbox: the run's `inbox_seq` when it came in. A message that is not stored yet has 0.
    pub seq: u64,
    /// When it was posted.
    pub at: Timestamp,
    /// What it says.
    pub mail: Mail,
    /// Who sent it, as far as that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<Text>,
}

impl Message {
    /// A message that is about to be posted.
    #[must_use]
    pub const fn new(id: MessageId, mail: Mail, now: Timestamp) -> Self {
        Self { id, seq: 0, at: now, mail, sender: None }
    }

    /// The same, sent by somebody.
    #[must_use]
    pub fn sent_by(self, sender: Option<Text>) -> Self {
        Self { sender, ..self }
    }

    /// Whether an idle run in this status is due for it at once. A run that was not begun waits for no signal: one that is
    /// to begin later must not begin now because of it.
    #[must_use]
    pub const fn wakes(&self, status: Status) -> bool {
        !matches!((status, &self.mail), (Status::Created, Mail::Signal { .. }))
    }

    /// Whether an idle run that is paused must be claimed to hear of it. Who said it read the run while a worker held it,
    /// or is the run that started it, and can't do it itself; the pause is in the inbox too, so that it is not forgotten.
    #[must_use]
    pub const fn unpauses(&self) -> bool {
        matches!(self.mail, Mail::Cancel { .. } | Mail::Resume)
    }
}
