use std::time::Duration;

use super::slots::{Busy, Call, Held, SlotId};
use super::worker::Worker;
use crate::model::{Hold, Lease, RecordWrite, StepRecord, Timestamp, Update, first_record};

/// What is to be done about the lease of a call under way.
enum Due {
    /// It is renewed.
    Renew,
    /// The run was cancelled, and the call had until now to tidy up.
    Cut,
    /// It ran out: the call may run elsewhere at any moment.
    Lost,
}

impl Worker {
    /// When a lease wants to be looked at.
    pub(super) fn next_tick(&self) -> Option<Duration> {
        self.next_tick.filter(|_| self.slots.calling() > 0)
    }

    /// Has the lease of a run looked at in time, if calls of it are under way.
    pub(super) fn look_at_lease(&mut self, slot: SlotId) {
        let length = self.shared.config.lease;
        let Some(held) = self.slots.get(slot).filter(|held| !held.calls().is_empty()) else { return };
        self.next_tick = earliest(self.next_tick, held.renew_at(length));
    }

    /// Looks at the leases of all calls under way, if it is time.
    pub(super) fn tick_leases(&mut self, elapsed: Duration) {
        if self.next_tick.is_none_or(|tick| elapsed < tick) {
            return;
        }
        let lease = self.shared.config.lease;
        let mut due = Vec::new();
        let mut next: Option<Duration> = None;
        for (slot, held) in self.slots.iter() {
            let (renew, end) = (held.renew_at(lease), held.renewed + lease);
            let is_cancelled = held.stored.waiting_cancel().is_some();
            if held.calls().is_empty() {
                continue;
            }
            if end <= elapsed {
                due.push((slot, Due::Lost));
            } else if held.busy != Busy::Free {
                next = earliest(next, end);
            } else if renew <= elapsed {
                due.push((slot, if is_cancelled { Due::Cut } else { Due::Renew }));
                next = earliest(next, end);
            } else {
                next = earliest(next, renew);
            }
        }
        self.next_tick = next;
        let now = self.shared.time.now();
        due.into_iter().for_each(|(slot, due)| self.on_lease(slot, &due, now));
    }

    fn on_lease(&mut self, slot: SlotId, due: &Due, now: Timestamp) {
        match due {
            Due::Renew => self.renew(slot, now),
            Due::Cut => self.cut(slot, now),
            Due::Lost => self.lose(slot),
        }
    }

    /// Queues a renewal. What the step says of its progress goes along.
    fn renew(&mut self, slot: SlotId, now: Timestamp) {
        let (me, length) = (self.me, self.shared.config.lease);
        let Some(held) = self.slots.get(slot) else { return };
        let (id, guard, locator) = (held.stored.run.id, held.guard(me), held.stored.locator);
        let records = progressed(held);
        let hold = Hold::Claim(Lease::new(me, now, length));
        let update = Update { locator, records, ..Update::new(id, guard, hold, now) };
        update.write(&mut held.stored);
        held.busy = Busy::Writing;
        self.enqueue(slot, update);
    }

    /// The store refused a renewal, which drops nothing: it is asked again a little later, as long as the lease lasts.
    pub(super) fn renew_again(&mut self, slot: SlotId) {
        let (elapsed, lease) = (self.shared.clock.elapsed(), self.shared.config.lease);
        let Some(held) = self.slots.get(slot) else { return };
        held.renew_again = elapsed + lease / 12;
        self.free(slot);
    }

    /// Drops the calls of a run that was cancelled, and lets the cancel take effect.
    fn cut(&mut self, slot: SlotId, now: Timestamp) {
        let cancel = self.slots.get(slot).and_then(|held| held.stored.waiting_cancel());
        self.slots.drop_calls(slot);
        if let Some(cancel) = cancel {
            self.decide(slot, cancel, now);
        }
    }

    /// Drops the call of a run whose lease ran out.
    fn lose(&mut self, slot: SlotId) {
        let Some(held) = self.slots.remove(slot) else { return };
        self.report.stale += 1;
        self.look.soon();
        tracing::warn!(prorch.run = %held.stored.run.id, "the lease of a run could not be renewed in time; its call is dropped");
    }
}

fn earliest(a: Option<Duration>, b: Duration) -> Option<Duration> {
    Some(a.map_or(b, |a| a.min(b)))
}

/// The records of the calls under way with the progress that the steps reported, as far as that is news.
fn progressed(held: &Held) -> Vec<RecordWrite> {
    held.calls().iter().filter_map(|call| progress_of(held, call)).collect()
}

fn progress_of(held: &Held, call: &Call) -> Option<RecordWrite> {
    let (position, progress) = (call.position, call.cx.reported()?);
    let stored = held.stored.records.get(&position);
    if stored.is_some_and(|record| record.progress == Some(progress)) {
        return None;
    }
    let record = match stored {
        Some(record) => RecordWrite::Changed(StepRecord { progress: Some(progress), ..record.clone() }),
        None => RecordWrite::New(StepRecord {
            progress: Some(progress),
            ..first_record(&held.stored, &held.known.plan)?
        }),
    };
    Some(record)
}
