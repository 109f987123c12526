use std::time::Duration;

use crate::model::{Metadata, NewRun, Text};

/// What may be said about a run before it is started.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    pub(super) key: Option<Text>,
    pub(super) priority: Option<u8>,
    pub(super) delay: Duration,
    pub(super) metadata: Metadata,
}

impl Wishes {
    /// The run as it was wished for; what nothing was said about stays as it is.
    pub(super) fn fill(self, mut new: NewRun) -> NewRun {
        new.key = self.key;
        new.priority = self.priority.unwrap_or(new.priority);
        new.due_at = new.created_at + self.delay;
        new.metadata.extend(self.metadata);
        new
    }
}
