//! A run that is undone: what its calls are told, and the records that stand before those that it holds.

use super::slots::{Busy, Held, SlotId};
use super::wake::Inbound;
use super::worker::Worker;
use crate::model::{Hook, Status, StepRecord, StoredRun, UndoPhase};
use crate::repository::StoreError;
use crate::step::Undoing;

impl Held {
    /// Whether the records that are undone next are to be read first.
    pub(super) fn wants_records(&self) -> bool {
        self.stored.run.state.undo_phase() == Some(UndoPhase::Undoing)
            && self.undo_read != self.stored.run.state.undo_below()
    }

    /// What a call of this record is told that undoes it; none for any other call.
    pub(super) fn undoing(&self, record: &StepRecord) -> Option<Box<Undoing>> {
        if !self.stored.run.state.is_undoing() {
            return None;
        }
        let begun = record.undo.as_ref().is_some_and(|undo| undo.status == Status::Pending);
        let child = record.child.filter(|_| record.status == Status::Finished);
        let (child, hook) = (child.map(|child| child.run), if begun { Hook::Continue } else { Hook::Start });
        Some(Box::new(Undoing { output: record.output.clone(), child, hook }))
    }
}

impl Worker {
    /// Reads what is undone next.
    pub(super) fn read_records(&mut self, slot: SlotId) {
        self.read(slot, move |read| Inbound::Records { slot, read });
    }

    pub(super) fn on_records(&mut self, slot: SlotId, read: Result<Option<StoredRun>, StoreError>) {
        let Some(held) = self.slots.get(slot) else { return };
        let epoch = held.stored.run.epoch;
        match read {
            Ok(Some(read)) if read.run.epoch == epoch => {
                (held.undo_read, held.busy) = (read.run.state.undo_below(), Busy::Free);
                held.stored = read;
                self.look_at_lease(slot);
                self.go_on(slot);
            }
            // Somebody else has it.
            Ok(_) => drop(self.slots.remove(slot)),
            Err(error) => {
                tracing::warn!(%error, "what is undone next can't be read; the run is given back");
                self.give_back(slot);
            }
        }
    }
}
