use tokio::sync::watch;

use super::executor::{Job, Limit, ReplyTo, Returned, execute};
use super::slots::{Busy, Call, Held, SlotId};
use super::wake::Inbound;
use super::worker::Worker;
use super::{Shared, new_id};
use crate::model::{
    Agenda, Answered, CauseKind, Event, Hold, Hook, Jitter, Kept, Lease, MAX_REASON, MessageId, Outcome,
    Part, Position, RunId, Status, StepRecord, StoredRun, Text, Timestamp, Update, agenda, bounded,
    call_deadline, transition,
};
use crate::repository::{StoreError, check_update};
use crate::step::{CallFacts, History, Invocation, Reply, StepContext};

impl Worker {
    /// Does what is next with a run of which nothing is being written or read.
    pub(super) fn go_on(&mut self, slot: SlotId) {
        let now = self.shared.clock.now();
        let (cap, stopping) = (self.shared.config.crash_cap, self.stopping.is_some());
        let Some(held) = self.slots.get(slot).filter(|held| held.busy == Busy::Free) else { return };
        if !held.returned.is_empty() {
            self.decide_returned(slot, now);
            return;
        }
        let under_way = held.under_way();
        match agenda(&held.stored, &held.known.plan, cap, &under_way, now) {
            Agenda::Await => {}
            Agenda::Call(_) | Agenda::Open if stopping && !under_way.is_empty() => {}
            Agenda::Call(_) | Agenda::Open if stopping => self.give_back(slot),
            Agenda::Call(records) => self.dispatch(slot, records, now),
            Agenda::Open => self.gather_handed(slot),
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
        for record in records {
            let Some(input) = handed.of(record.position.item) else {
                let why = format!("step `{}` at {} has no item in the list", record.name, record.position);
                self.decide(slot, Event::Leave(Text::from(why)), now);
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
        let plan = &held.known.plan;
        let (Some(member), Some(step)) = (held.known.pipeline.member(position), plan.step(position)) else {
            return;
        };
        let (cancel, cancelled) = watch::channel(held.stored.waiting_cancel().is_some());
        let cx = context(&self.shared, held, &record, cancelled);
        let attempt = cx.attempt();
        let span = span(held, &cx);
        let deadline = call_deadline(&record, plan).map(|deadline| deadline.saturating_since(now));
        let limit = Limit::new(step.policy.timeout, deadline);
        let hook = if record.status == Status::Created { Hook::Start } else { Hook::Continue };
        let max_payload = self.shared.config.max_payload;
        let spawn = RunId::from_uuid(new_id(now));
        let invocation = Invocation { hook, input, state: record.state, cx: cx.clone(), max_payload, spawn };
        let job = Job {
            call: Box::new(move || member.call(invocation)),
            is_blocking: member.is_blocking(),
            limit,
            clock: self.shared.clock.clone(),
            reply: ReplyTo::new(slot, serial, self.sender.clone()),
            span,
        };
        let is_blocking = job.is_blocking;
        let task = self.user.spawn(execute(job)).abort_handle();
        held.calls.push(Call { serial, position, attempt, is_blocking, cx, task, cancel });
        let renew = held.renewed + self.shared.config.lease / 3;
        self.next_tick = Some(self.next_tick.map_or(renew, |tick| tick.min(renew)));
        self.calling += 1;
        self.report.calls += 1;
    }

    /// A call came back.
    pub(super) fn on_returned(&mut self, slot: SlotId, serial: u64, returned: Returned) {
        let Some(held) = self.slots.get(slot) else { return };
        let Some(call) = held.take_call(serial) else { return };
        held.returned.push((call, returned));
        self.calling -= 1;
        self.go_on(slot);
    }

    /// Decides on everything that came back, in one update.
    fn decide_returned(&mut self, slot: SlotId, now: Timestamp) {
        let mut all: Option<Update> = None;
        loop {
            let jitter = self.jitter();
            let Some(held) = self.slots.get(slot) else { return };
            if held.returned.is_empty() {
                break;
            }
            let (call, returned) = held.returned.remove(0);
            if !held.owns_signals(&call, &returned) {
                // Another step of the stage took a signal that this one took too: it is asked again.
                continue;
            }
            let event = event(&call, returned, jitter);
            let Some(update) = self.update_for(slot, event, now) else { return };
            all = Some(match all {
                Some(all) => all.then(update),
                None => update,
            });
        }
        match all {
            Some(update) => self.commit(slot, update, now),
            None => self.go_on(slot),
        }
    }

    /// Lets the state machine decide, and queues what it writes.
    pub(super) fn decide(&mut self, slot: SlotId, event: Event, now: Timestamp) {
        if let Some(update) = self.update_for(slot, event, now) {
            self.commit(slot, update, now);
        }
    }

    /// Lets the state machine decide, and applies it to the run as this worker sees it. None when the run is dropped.
    fn update_for(&mut self, slot: SlotId, event: Event, now: Timestamp) -> Option<Update> {
        let me = self.me;
        let held = self.slots.get(slot)?;
        if let Event::Leave(why) = &event {
            tracing::warn!(prorch.run = %held.stored.run.id, %why, "the run is left as it is");
        }
        let under_way = held.under_way();
        let decided = transition(&held.stored, &held.known.plan, event.clone(), &under_way, now);
        let decision = match decided {
            Ok(decision) => decision,
            Err(refusal) => {
                tracing::error!(prorch.run = %held.stored.run.id, %refusal, "the run is dropped");
                self.forget(slot);
                return None;
            }
        };
        let update = decision.into_update(&held.stored, held.guard(me), now);
        if held.stored.run.state.fan.is_some()
            && let (Err(why), Event::Answered(answered, jitter)) = (check_update(&update), &event)
        {
            // Among the answers of a stage the one that can't be stored is found here; alone the store says so.
            let outcome = Outcome::Failed(CauseKind::Refused, why);
            let refused = Answered { outcome, kept: Kept::default(), ..answered.clone() };
            return self.update_for(slot, Event::Answered(refused, *jitter), now);
        }
        update.write(&mut held.stored);
        held.stored.let_go(&update);
        Some(update)
    }

    /// Queues what was decided.
    fn commit(&mut self, slot: SlotId, mut update: Update, now: Timestamp) {
        let (me, lease, stopping) = (self.me, self.shared.config.lease, self.stopping.is_some());
        let elapsed = self.shared.clock.elapsed();
        let Some(held) = self.slots.get(slot) else { return };
        if update.hold == Hold::Keep {
            if stopping && held.calls.is_empty() {
                update.hold = Hold::Release { due_at: Some(now), seen: held.stored.run.inbox_seq };
            } else if held.renewed + lease / 3 <= elapsed {
                update.hold = Hold::Claim(Lease::new(me, now, lease));
            }
        }
        held.busy = Busy::Writing;
        self.enqueue(slot, update);
    }

    /// Queues an update that changes nothing but the claim.
    pub(super) fn write(&mut self, slot: SlotId, hold: Hold, now: Timestamp) {
        let me = self.me;
        let Some(held) = self.slots.get(slot) else { return };
        let update = Update {
            locator: held.stored.locator,
            ..Update::new(held.stored.run.id, held.guard(me), hold, now)
        };
        held.busy = Busy::Writing;
        self.enqueue(slot, update);
    }

    /// Gives a run back, due at once. Calls that are under way are dropped.
    pub(super) fn give_back(&mut self, slot: SlotId) {
        let now = self.shared.clock.now();
        let Some(held) = self.slots.get(slot) else { return };
        self.calling -= held.drop_calls();
        let release = Hold::Release { due_at: Some(now), seen: held.stored.run.inbox_seq };
        self.write(slot, release, now);
    }

    /// Lets a run go without a word to the store.
    pub(super) fn forget(&mut self, slot: SlotId) -> Option<Held> {
        let held = self.slots.remove(slot)?;
        self.calling -= held.calls.len();
        Some(held)
    }

    /// The store refuses what was decided about the record at `position`: the run is read as it is stored.
    pub(super) fn read_again(&mut self, slot: SlotId, position: Position, why: Text) {
        let (repository, sender) = (self.shared.repository.clone(), self.sender.clone());
        let Some(held) = self.slots.get(slot) else { return };
        held.busy = Busy::Reading;
        let run = held.stored.run.id;
        tokio::spawn(async move {
            let read = repository.get(run, Part::Work).await;
            // The worker may have ended meanwhile.
            let _ = sender.send(Inbound::Again { slot, position, why, read });
        });
    }

    /// The step fails with the reason that the store gave; or, when even that is refused, the run is left to the end of
    /// its lease.
    pub(super) fn on_read_again(
        &mut self,
        slot: SlotId,
        position: Position,
        why: Text,
        read: Result<Option<StoredRun>, StoreError>,
    ) {
        let now = self.shared.clock.now();
        let jitter = self.jitter();
        let Some(held) = self.slots.get(slot) else { return };
        let (Ok(Some(read)), false) = (read, held.refused) else {
            self.forget(slot);
            return;
        };
        (held.stored, held.busy, held.refused) = (read, Busy::Free, true);
        let attempt = held.stored.records.get(&position).map_or(1, |record| record.attempt);
        let outcome = Outcome::Failed(CauseKind::Refused, why);
        let answered = Answered { position, hook: Hook::Continue, attempt, outcome, kept: Kept::default() };
        self.decide(slot, Event::Answered(answered, jitter), now);
    }

    /// Reads the inbox of a held run.
    pub(super) fn read_mail(&mut self, slot: SlotId) {
        let (repository, sender) = (self.shared.repository.clone(), self.sender.clone());
        let Some(held) = self.slots.get(slot) else { return };
        held.busy = Busy::Reading;
        let run = held.stored.run.id;
        tokio::spawn(async move {
            let read = repository.get(run, Part::Work).await;
            // The worker may have ended meanwhile.
            let _ = sender.send(Inbound::Mail { slot, read });
        });
    }

    pub(super) fn on_mail(&mut self, slot: SlotId, read: Result<Option<StoredRun>, StoreError>) {
        let Some(held) = self.slots.get(slot) else { return };
        held.busy = Busy::Free;
        match read {
            Ok(Some(read)) => {
                held.stored.run.inbox_seq = read.run.inbox_seq;
                held.stored.inbox = read.inbox;
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "an inbox could not be read; it is read again at the next claim")
            }
        }
        if held.stored.waiting_cancel().is_some() {
            // Nobody may listen: then the calls end in their own time.
            for call in &held.calls {
                let _ = call.cancel.send(true);
            }
        }
        self.go_on(slot);
    }
}

impl Held {
    /// Whether the signals that a call took are still there to be taken.
    fn owns_signals(&self, call: &Call, returned: &Returned) -> bool {
        let Returned::Reply(Reply::Answered { kept, .. }) = returned else { return true };
        let is_there = |id: &MessageId| self.stored.untaken().any(|message| message.id == *id);
        let owns = kept.taken.iter().all(is_there);
        if !owns {
            tracing::debug!(prorch.run = %self.stored.run.id, step = call.cx.step_name(), "a signal was taken by another step");
        }
        owns
    }
}

/// What a call that came back says to the state machine.
fn event(call: &Call, returned: Returned, jitter: Jitter) -> Event {
    let (position, attempt) = (call.position, call.attempt);
    let answered =
        |hook, outcome, kept| Event::Answered(Answered { position, hook, attempt, outcome, kept }, jitter);
    let erred = |error: Text| {
        answered(Hook::Continue, Outcome::Errored { error, retry_after: None }, Kept::default())
    };
    match returned {
        Returned::Reply(Reply::Answered { hook, outcome, kept }) => answered(hook, outcome, kept),
        Returned::Reply(Reply::Unreadable(why)) => Event::Leave(why),
        Returned::TimedOut(longest) => {
            erred(Text::from(format!("the call took longer than {longest:?}, its timeout")))
        }
        Returned::Expired => Event::Expired(position),
        Returned::Panicked(text) => erred(bounded(&format!("the step panicked: {text}"), MAX_REASON)),
    }
}

/// What a call is told.
fn context(
    shared: &Shared,
    held: &Held,
    record: &StepRecord,
    cancelled: watch::Receiver<bool>,
) -> StepContext {
    let run = &held.stored.run;
    StepContext::new(CallFacts {
        run: run.id,
        step: record.name.clone(),
        attempt: record.attempt.saturating_add(run.state.crashes),
        run_input: run.input.clone(),
        resources: shared.resources.clone(),
        signals: held.stored.untaken().cloned().collect(),
        history: Some(History { repository: shared.repository.clone(), plan: held.known.plan.clone() }),
        cancelled,
    })
}

/// The span that a call is made in: names and numbers, never a payload.
fn span(held: &Held, cx: &StepContext) -> tracing::Span {
    tracing::info_span!(
        "prorch.call",
        prorch.pipeline = held.known.pipeline.name(),
        prorch.run = %cx.run_id(),
        prorch.step = cx.step_name(),
        prorch.attempt = cx.attempt(),
    )
}
