use std::any::TypeId;
use std::sync::Arc;

use super::calls::PlannedCall;
use super::executor::Returned;
use super::slots::{Call, Dropped, Held, SlotId, Task};
use super::together::{Came, Ended, TogetherJob, execute_together};
use super::worker::Worker;
use crate::model::{Hook, Kept, Outcome, Position, StepRecord};
use crate::pipeline::Member;
use crate::step::{BatchContext, Many, Reply, Told};

/// Which records are asked together: those of one step, and of one half, where a call for more went wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Group {
    step: TypeId,
    half: Option<u64>,
}

/// Apart from which others a record is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Apart {
    /// From those that are not in this half of a call that went wrong.
    Half(u64),
    /// From all.
    Alone,
}

/// The records that are to be asked together, gathered from what the worker takes in at one time.
#[derive(Default)]
pub(super) struct Polls {
    gathered: Vec<(Group, PlannedCall)>,
    halves: u64,
}

impl Polls {
    /// Adds a call that is made with others.
    pub(super) fn gather(&mut self, group: Group, planned: PlannedCall) -> Task {
        self.gathered.push((group, planned));
        Task::Gathering
    }

    /// Takes the first group, as far as it goes into one call.
    fn take_batch(&mut self) -> Option<Vec<PlannedCall>> {
        let (group, first) = self.gathered.first()?;
        let (group, most) = (*group, first.member.many().map_or(1, |many| many.most));
        let mut room = most;
        let goes_along = |(of, _): &mut (Group, PlannedCall)| {
            let goes = *of == group && room > 0;
            room -= usize::from(goes);
            goes
        };
        let batch = self.gathered.extract_if(.., goes_along);
        Some(batch.map(|(_, planned)| planned).collect())
    }

    const fn next_half(&mut self) -> Apart {
        self.halves += 1;
        Apart::Half(self.halves)
    }
}

impl Held {
    /// With which others this record is asked; none when it is called alone. A run that may kill its worker is.
    pub(super) fn group(&mut self, member: &Member, hook: Hook, record: &StepRecord) -> Option<Group> {
        let Many { step, .. } = *member.many()?;
        let at = self.apart.iter().position(|(position, _)| *position == record.position);
        let apart = at.map(|at| self.apart.swap_remove(at).1);
        let half = match apart {
            None => None,
            Some(Apart::Half(half)) => Some(half),
            Some(Apart::Alone) => return None,
        };
        let is_polled = hook == Hook::Continue && record.awaits.is_none();
        (is_polled && !self.suspect).then_some(Group { step, half })
    }

    /// Whether an error that a call shares with others counts for it as one of its own: it does as long as nothing ends by
    /// it.
    fn bears(&self, position: Position, shared: &Outcome) -> bool {
        let errors = self.stored.records.get(&position).map_or(0, |record| record.errors);
        let step = self.known.plan.step(position);
        let is_last = step.is_none_or(|step| step.policy.retry.is_exhausted_by(errors.saturating_add(1)));
        matches!(shared, Outcome::Errored { .. }) && !is_last
    }
}

impl Worker {
    /// Asks about all records that were gathered since the worker slept.
    pub(super) fn ask_together(&mut self) {
        while let Some(mut batch) = self.polls.take_batch() {
            // A run may have been given back meanwhile.
            batch.retain(|planned| self.slots.call(planned.slot, planned.serial).is_some());
            self.ask(batch);
        }
    }

    fn ask(&mut self, mut batch: Vec<PlannedCall>) {
        if batch.len() > 1 {
            return self.ask_many(batch);
        }
        let Some(planned) = batch.pop() else { return };
        let (slot, serial) = (planned.slot, planned.serial);
        let task = self.make(planned);
        if let Some(call) = self.slots.call(slot, serial) {
            call.task = Task::Alone(task);
        }
    }

    fn ask_many(&mut self, batch: Vec<PlannedCall>) {
        let Some(first) = batch.first() else { return };
        let (member, timeout) = (first.member, first.limit.timeout());
        let (step, count) = (member.name(), batch.len());
        let Some(many) = member.many() else { return };
        let of: Vec<(SlotId, u64)> = batch.iter().map(|planned| (planned.slot, planned.serial)).collect();
        let job = TogetherJob {
            many,
            batch,
            cx: BatchContext::new(step, self.shared.resources.clone()),
            timeout,
            max_payload: self.shared.config.max_payload,
            clock: self.shared.clock.clone(),
            sender: self.sender.clone(),
            span: tracing::info_span!("prorch.call_many", prorch.step = step, prorch.records = count),
        };
        self.report.calls += 1;
        let task = Arc::new(Dropped(self.user.spawn(execute_together(job)).abort_handle()));
        for (slot, serial) in of {
            if let Some(call) = self.slots.call(slot, serial) {
                call.task = Task::Together(task.clone());
            }
        }
    }

    /// A call for several records came back. What became of each is put where its own call would have put it.
    pub(super) fn on_together(&mut self, came: Came) {
        let Came { of, ended } = came;
        match ended {
            Ended::Told(told) => told.into_iter().for_each(|(at, told)| self.on_told(of[at], told)),
            Ended::TimedOut => self.halve(&of, "it took too long"),
            Ended::Panicked(panic) => self.halve(&of, &panic),
        }
        // All of a run are decided on in one update.
        of.into_iter().for_each(|(slot, _)| self.go_on(slot));
    }

    fn on_told(&mut self, (slot, serial): (SlotId, u64), told: Result<Told, String>) {
        let Some(call) = self.slots.take_call(slot, serial) else { return };
        let Some(held) = self.slots.get(slot) else { return };
        let returned = match told {
            Ok(Told::Reply(reply)) => Returned::Reply(reply),
            Ok(Told::Shared(outcome)) if held.bears(call.position, &outcome) => {
                Returned::Reply(Reply::Answered { hook: Hook::Continue, outcome, kept: Kept::default() })
            }
            Ok(Told::Shared(_) | Told::Nothing) => return held.apart.push((call.position, Apart::Alone)),
            Err(panic) => Returned::Panicked(panic),
        };
        held.returned.push((call, returned));
    }

    /// Has the records of a call that went wrong asked in two halves: nobody knows whose fault it was.
    fn halve(&mut self, of: &[(SlotId, u64)], why: &str) {
        let taken =
            of.iter().filter_map(|(slot, serial)| Some((*slot, self.slots.take_call(*slot, *serial)?)));
        let taken: Vec<(SlotId, Call)> = taken.collect();
        tracing::warn!(
            records = taken.len(),
            why,
            "a call for several records went wrong; asking in two halves"
        );
        for half in taken.chunks(taken.len().div_ceil(2).max(1)) {
            let apart = self.polls.next_half();
            for (slot, call) in half {
                if let Some(held) = self.slots.get(*slot) {
                    held.apart.push((call.position, apart));
                }
            }
        }
    }
}
