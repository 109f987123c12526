use super::slots::{Busy, SlotId};
use super::wake::Inbound;
use super::worker::Worker;
use crate::model::{
    Answered, CauseKind, Event, Hook, Kept, Outcome, Part, Position, StoredRun, Text, Update,
};
use crate::repository::{StoreError, ask};

/// A run that was read again; none when it is gone.
type Read = Result<Option<StoredRun>, StoreError>;

impl Worker {
    /// The store refuses what was decided. What was called has to be decided on anew, from the run as it is stored; a
    /// renewal that is refused for the progress in it only goes without.
    pub(super) fn refuse(&mut self, slot: SlotId, update: &Update, why: Text) {
        let Some(held) = self.slots.get(slot) else { return };
        let under_way = held.under_way();
        let mut written = update.records.iter().map(|write| write.record().position);
        if !under_way.is_empty() && written.clone().all(|position| under_way.contains(&position)) {
            self.renew_again(slot);
            return;
        }
        match written.find(|position| !under_way.contains(position)) {
            Some(position) => self.read(slot, move |read| Inbound::Again { slot, position, why, read }),
            None => drop(self.slots.remove(slot)),
        }
    }

    /// Reads a held run anew.
    pub(super) fn read(&mut self, slot: SlotId, into: impl FnOnce(Read) -> Inbound + Send + 'static) {
        let (repository, sender) = (self.shared.repository.clone(), self.sender.clone());
        let Some(held) = self.slots.get(slot) else { return };
        held.busy = Busy::Reading;
        let run = held.stored.run.id;
        tokio::spawn(async move {
            let read = ask(|| repository.get(run, Part::Work)).await.map(|asked| asked.answer);
            // The worker may have ended meanwhile.
            let _ = sender.send(into(read));
        });
    }

    /// The step fails with the reason that the store gave; or, when even that is refused, the run is left to the end of
    /// its lease.
    pub(super) fn on_read_again(&mut self, slot: SlotId, position: Position, why: Text, read: Read) {
        let now = self.shared.time.now();
        let jitter = self.jitter();
        let Some(held) = self.slots.get(slot) else { return };
        let (Ok(Some(read)), false) = (read, held.refused) else {
            self.slots.remove(slot);
            return;
        };
        held.undo_read = read.run.state.undo_below();
        held.intended.clear();
        (held.stored, held.busy, held.refused) = (read, Busy::Free, true);
        let attempt = held.stored.records.get(&position).map_or(1, |record| record.attempt);
        let outcome = Outcome::Failed(CauseKind::Refused, why);
        let answered = Answered { position, hook: Hook::Continue, attempt, outcome, kept: Kept::default() };
        self.decide(slot, Event::Answered(answered, jitter), now);
    }

    /// Reads the inbox of a held run.
    pub(super) fn read_mail(&mut self, slot: SlotId) {
        self.read(slot, move |read| Inbound::Mail { slot, read });
    }

    pub(super) fn on_mail(&mut self, slot: SlotId, read: Read) {
        let Some(held) = self.slots.get(slot) else { return };
        match read {
            Ok(Some(read)) => {
                held.stored.run.inbox_seq = read.run.inbox_seq;
                held.stored.inbox = read.inbox;
            }
            Ok(None) => {}
            Err(error) => {
                // What it says may be that no further call is to be made.
                tracing::warn!(%error, "an inbox can't be read; the run is given back");
                return self.give_back(slot);
            }
        }
        if held.stored.waiting_cancel().is_some() {
            // Nobody may listen: then the calls end in their own time.
            for call in held.calls() {
                let _ = call.cancel.send(true);
            }
        }
        self.free(slot);
    }
}
