use tokio::sync::watch;

use super::Shared;
use super::executor::{Job, Limit, ReplyTo, Returned, execute};
use super::slots::{Busy, Call, Dropped, Held, SlotId, Task};
use super::worker::Worker;
use crate::model::{
    Agenda, Event, Hold, RunId, StagePlan, StepRecord, Text, Timestamp, agenda, call_deadline,
};
use crate::pipeline::Member;
#[cfg(feature = "cron")]
use crate::step::Tick;
use crate::step::{CallFacts, History, Invocation, Purpose, StepContext};

/// A call that is to be made.
pub(super) struct PlannedCall {
    pub(super) slot: SlotId,
    pub(super) serial: u64,
    pub(super) pipeline: &'static str,
    pub(super) member: &'static Member,
    pub(super) invocation: Invocation,
    pub(super) limit: Limit,
}

impl Worker {
    /// Does what is next with a run of which nothing is being written or read.
    pub(super) fn go_on(&mut self, slot: SlotId) {
        let now = self.shared.time.now();
        let (cap, stopping) = (self.shared.config.crash_cap, self.stopping.is_some());
        let (lease, elapsed) = (self.shared.config.lease, self.shared.clock.elapsed());
        let Some(held) = self.slots.get(slot).filter(|held| held.busy == Busy::Free) else { return };
        if !held.returned.is_empty() {
            self.decide_returned(slot, now);
            return;
        }
        if held.wants_records() {
            self.read_records(slot);
            return;
        }
        // What the store answered so late that the lease is over may be somebody else's by now.
        let no_more = stopping || held.renewed + lease <= elapsed;
        let under_way = held.under_way();
        match agenda(&held.stored, &held.known.plan, cap, &under_way, now) {
            Agenda::Await => {}
            agenda if no_more && agenda.begins() && !under_way.is_empty() => {}
            agenda if no_more && agenda.begins() => self.give_back(slot),
            Agenda::Call(records) => self.dispatch(slot, records, now),
            Agenda::Open => self.gather_handed(slot),
            Agenda::Decide(Event::Leave(why)) => self.leave(slot, &why.clone(), why, now),
            Agenda::Decide(event @ Event::ChildEnded { .. }) => self.decide_ends(slot, event, now),
            Agenda::Decide(event) => self.decide(slot, event, now),
            Agenda::Rest(due_at) => {
                let release = Hold::Release { due_at, seen: held.stored.run.inbox_seq };
                self.write(slot, release, now);
            }
        }
    }

    /// Starts calls on the user's runtime, when it is known what they get.
    fn dispatch(&mut self, slot: SlotId, records: Vec<StepRecord>, now: Timestamp) {
        let Some(held) = self.slots.get(slot) else { return };
        let Some(handed) = held.handed() else {
            self.gather_handed(slot);
            return;
        };
        if let Some(record) = records.iter().find(|record| held.known.member(record.position).is_none()) {
            let why = no_code(record);
            self.leave(slot, &why, Text::from(why.as_str()), now);
            return;
        }
        for record in records {
            let Some(input) = handed.of(record.position.item) else {
                let why = format!("step `{}` at {} has no item in the list", record.name, record.position);
                self.leave(slot, &why, Text::from(why.as_str()), now);
                return;
            };
            self.call(slot, record, input, now);
        }
    }

    fn call(&mut self, slot: SlotId, record: StepRecord, input: Text, now: Timestamp) {
        self.serial += 1;
        let serial = self.serial;
        let Some(held) = self.slots.get(slot) else { return };
        let position = record.position;
        let hook = held.hook(&record);
        let plan = &held.known.plan;
        let (Some(member), Some(step)) = (held.known.member(position), plan.step(position)) else {
            return;
        };
        let (cancel, cancelled) = watch::channel(held.stored.waiting_cancel().is_some());
        let cx = context(&self.shared, held, &record, cancelled);
        let attempt = cx.attempt();
        let undo = held.undoing(&record);
        // To be undone has no deadline: what is not undone by then would stay.
        let deadline = call_deadline(&record, plan).filter(|_| undo.is_none());
        let deadline = deadline.map(|deadline| deadline.saturating_since(now));
        let limit = Limit::new(step.policy.timeout, deadline);
        let max_payload = self.shared.config.max_payload;
        // An id costs a system call.
        let starts = step.child.is_some() || member.ticks().is_some();
        let spawn = (starts && undo.is_none()).then(|| RunId::from_uuid(self.shared.new_id(now)));
        let group = held.group(member, hook, &record).filter(|_| undo.is_none());
        let state = record.undo.and_then(|undo| undo.state).or(record.state);
        let invocation = Invocation {
            hook,
            input,
            state,
            cx: cx.clone(),
            max_payload,
            spawn,
            undo,
            #[cfg(feature = "cron")]
            tick: member.ticks().map(|pipeline| Tick {
                now,
                starts: pipeline.key(),
                is_declared: pipeline.schedule().is_some(),
            }),
        };
        let planned =
            PlannedCall { slot, serial, pipeline: held.known.pipeline.name(), member, invocation, limit };
        let task = match group {
            Some(group) => self.polls.gather(group, planned),
            None => Task::Alone(self.make(planned)),
        };
        let is_blocking = member.is_blocking();
        self.slots.begin(slot, Call { serial, position, attempt, hook, is_blocking, cx, task, cancel });
        self.look_at_lease(slot);
    }

    /// Makes a call on the user's runtime.
    pub(super) fn make(&mut self, planned: PlannedCall) -> Dropped {
        let PlannedCall { slot, serial, pipeline, member, invocation, limit } = planned;
        let span = span(pipeline, &invocation.cx);
        let job = Job {
            call: Box::new(move || member.call(invocation)),
            is_blocking: member.is_blocking(),
            limit,
            clock: self.shared.clock.clone(),
            reply: ReplyTo::new(slot, serial, self.sender.clone()),
            span,
        };
        self.report.calls += 1;
        Dropped(self.user.spawn(execute(job)).abort_handle())
    }

    /// Nothing of the run is being written or read any more.
    pub(super) fn free(&mut self, slot: SlotId) {
        let Some(held) = self.slots.get(slot) else { return };
        held.busy = Busy::Free;
        self.look_at_lease(slot);
        self.go_on(slot);
    }

    /// A call came back.
    pub(super) fn on_returned(&mut self, slot: SlotId, serial: u64, returned: Returned) {
        let Some(call) = self.slots.take_call(slot, serial) else { return };
        let Some(held) = self.slots.get(slot) else { return };
        held.returned.push((call, returned));
        self.go_on(slot);
    }
}

/// Why a step is not called whose code is gone.
fn no_code(record: &StepRecord) -> String {
    let StepRecord { name, position, .. } = record;
    format!(
        "the step `{name}` at {position} of the run's list is not there in the code: give it back, or run the old program"
    )
}

/// What a call is told.
fn context(
    shared: &Shared,
    held: &Held,
    record: &StepRecord,
    cancelled: watch::Receiver<bool>,
) -> StepContext {
    let (run, position) = (&held.stored.run, record.position);
    let is_undone = run.state.is_undoing();
    let attempt =
        if is_undone { record.undo.as_ref().map_or(1, |undo| undo.attempt) } else { record.attempt };
    let is_item = matches!(held.known.plan.stage(position.stage), Some(StagePlan::Each(..)));
    StepContext::new(CallFacts {
        run: run.id,
        step: record.name.clone(),
        item: is_item.then_some(position.item),
        attempt: attempt.saturating_add(run.state.crashes),
        purpose: if is_undone { Purpose::Undo } else { Purpose::Step },
        run_input: run.input.clone(),
        resources: shared.resources.clone(),
        signals: held.stored.untaken().cloned().collect(),
        history: Some(History { repository: shared.repository.clone(), plan: held.known.plan.clone() }),
        cancelled,
    })
}

/// The span that a call is made in: names and numbers, never a payload.
fn span(pipeline: &str, cx: &StepContext) -> tracing::Span {
    tracing::info_span!(
        "prorch.call",
        prorch.pipeline = pipeline,
        prorch.run = %cx.run_id(),
        prorch.step = cx.step_name(),
        prorch.attempt = cx.attempt(),
    )
}
