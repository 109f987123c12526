use serde::{Deserialize, Serialize};

use super::{Answer, Guard, StepRecord, StoredRun, Text, Update};

/// What an [`Update`] removes of a run that has ended.
///
/// From the first removal on the run is *sealed* ([`Run::sealed`](super::Run::sealed)): nothing happens to it any more but
/// that it is removed, so that nobody goes on with half of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Removal {
    /// Nothing yet, it is only sealed: what hangs on it in other runs is removed first.
    Seal,
    /// So much of what hangs on it that one transaction can bear: its records, the first ones first, then its messages and
    /// the marks of those that were taken. If that is all, the run goes too, and its key is free.
    UpTo {
        /// The most records, messages and marks that go.
        rows: usize,
        /// No further record goes when those that went had so many bytes of states and outputs.
        bytes: usize,
    },
}

impl Removal {
    /// How many bytes of payload go with this record.
    #[must_use]
    pub fn weight(record: &StepRecord) -> usize {
        [&record.state, &record.output].into_iter().flatten().map(|text| text.len()).sum()
    }
}

impl Update {
    /// Why an update is rejected that removes a run which may go on.
    pub const NOT_ENDED: &str = "only a run that has ended is removed";
    /// Why an update is rejected that removes and does something else.
    pub const ONLY_REMOVES: &str =
        "an update that removes a run does nothing else, and is guarded by its epoch";

    /// Whether what the update says of a removal can be done by any store.
    pub(crate) fn check_removal(&self) -> Result<(), Text> {
        let is_alone = self.state.is_none()
            && self.definition.is_none()
            && self.records.is_empty()
            && self.removed.is_empty()
            && self.taken.is_empty()
            && self.posts.is_empty()
            && self.starts.is_empty()
            && self.history.is_none();
        match (self.removal, self.guard) {
            (None, _) => Ok(()),
            (Some(_), Guard::Idle(_)) if is_alone => Ok(()),
            _ => Err(Text::from(Self::ONLY_REMOVES)),
        }
    }
}

impl StoredRun {
    /// Removes so much of a run whose guard held.
    pub(super) fn remove(&mut self, removal: Removal) -> Answer {
        if !self.run.state.status.is_terminal() {
            return Answer::Rejected(Text::from(Update::NOT_ENDED));
        }
        self.run.epoch = self.run.epoch.next();
        self.run.sealed = true;
        match removal {
            Removal::UpTo { rows, bytes } if self.empty(rows, bytes) => Answer::Removed,
            _ => Answer::Applied { inbox_seq: self.run.inbox_seq },
        }
    }

    /// Takes away so much of what hangs on it, and says whether nothing is left.
    fn empty(&mut self, rows: usize, bytes: usize) -> bool {
        let (mut left, mut gone) = (rows, 0);
        while left > 0 && gone < bytes {
            let Some((_, record)) = self.records.pop_first() else { break };
            gone += Removal::weight(&record);
            left -= 1;
        }
        if !self.records.is_empty() {
            return false;
        }
        while left > 0 && self.taken.pop_first().is_some() {
            left -= 1;
        }
        self.inbox.drain(..left.min(self.inbox.len()));
        self.taken.is_empty() && self.inbox.is_empty()
    }
}
