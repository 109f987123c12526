//! Steps that are called at most once: what this worker knows of the calls that it has written down, and has not made.

use super::slots::{Call, Held, SlotId};
use super::worker::Worker;
use crate::model::{Agenda, Event, Hook, Position, RecordWrite, Status, StepRecord, Update};

impl Held {
    /// Which function of the record is called. The first call of one that is in doubt is made only by who has just written
    /// down that it will be, and only once.
    pub(super) fn hook(&mut self, record: &StepRecord) -> Hook {
        if record.status != Status::Created {
            return Hook::Continue;
        }
        let at = self.intended.iter().position(|position| *position == record.position);
        let is_intended = at.map(|at| self.intended.swap_remove(at)).is_some();
        if record.is_in_doubt() && !is_intended { Hook::Uncertain } else { Hook::Start }
    }

    /// With an update that gives the run back what was not called after all is not written down any more: nobody has to ask
    /// what became of it.
    pub(super) fn withdraw(&mut self, update: &mut Update) {
        if !update.releases() {
            return;
        }
        for position in self.intended.drain(..) {
            let written = update.records.iter_mut().find(|write| write.record().position == position);
            match written {
                Some(RecordWrite::New(record) | RecordWrite::Changed(record)) => record.intent = None,
                None => {
                    let stored = self.stored.records.get(&position).cloned();
                    let record = stored.map(|record| StepRecord { intent: None, ..record });
                    update.records.extend(record.map(RecordWrite::Changed));
                }
            }
        }
    }
}

impl Worker {
    /// What the step gets can't be read: no function of it was called.
    pub(super) fn was_not_called(&mut self, slot: SlotId, call: &Call) {
        let Some(held) = self.slots.get(slot) else { return };
        let stored = held.stored.records.get(&call.position);
        if call.hook == Hook::Start && stored.is_some_and(StepRecord::is_in_doubt) {
            held.intended.push(call.position);
        }
    }
}

impl Agenda {
    /// Whether this begins calls.
    pub(super) const fn begins(&self) -> bool {
        matches!(self, Self::Call(_) | Self::Open | Self::Decide(Event::Intended(_)))
    }
}

/// The records that are about to be called once this is stored.
pub(super) fn intended(event: &Event) -> Vec<Position> {
    match event {
        Event::Intended(positions) => positions.clone(),
        _ => Vec::new(),
    }
}
