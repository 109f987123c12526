use tokio::sync::watch;

use super::Shared;
use super::executor::{Job, Limit, ReplyTo, Returned, execute};
use super::slots::{Call, Held, Phase, SlotId};
use super::wake::Inbound;
use super::worker::Worker;
use crate::model::{
    Agenda, Answered, CauseKind, Event, Hold, Hook, Kept, Lease, MAX_REASON, Next, Outcome, Part, Position,
    Status, StepRecord, StoredRun, Text, Timestamp, Update, agenda, bounded, call_deadline, transition,
};
use crate::repository::StoreError;
use crate::step::{CallFacts, History, Invocation, Reply, StepContext};

impl Worker {
    /// Does what is next with a run that no update of is under way.
    pub(super) fn go_on(&mut self, slot: SlotId) {
        let now = self.shared.time.now();
        let (cap, stopping) = (self.shared.config.crash_cap, self.stopping.is_some());
        let (lease, elapsed) = (self.shared.config.lease, self.shared.clock.elapsed());
        let Some(held) = self.slots.get(slot) else { return };
        // What the store answered so late that the lease is over may be somebody else's by now.
        let too_late = held.renewed + lease <= elapsed;
        match agenda(&held.stored, &held.known.plan, cap, now) {
            Agenda::Call(_) if stopping || too_late => self.give_back(slot),
            Agenda::Call(record) => self.dispatch(slot, record, now),
            Agenda::Decide(Event::Leave(why)) => self.leave(slot, &why.clone(), why, now),
            Agenda::Decide(event) => self.decide(slot, event, now),
            Agenda::Rest(due_at) => {
                let release = Hold::Release { due_at, seen: held.stored.run.inbox_seq };
                self.write(slot, release, now);
            }
        }
    }

    /// Starts a call on the user's runtime.
    fn dispatch(&mut self, slot: SlotId, record: StepRecord, now: Timestamp) {
        self.serial += 1;
        let serial = self.serial;
        let Some(held) = self.slots.get(slot) else { return };
        let Some(input) = input(&held.stored, record.position) else {
            let why =
                format!("what step `{}` gets is not stored: the step before it has no output", record.name);
            self.leave(slot, &why, Text::from(why.as_str()), now);
            return;
        };
        let (cancel, cancelled) = watch::channel(false);
        let cx = context(&self.shared, held, &record, cancelled);
        let attempt = cx.attempt();
        let stage = &held.known.pipeline.stages()[record.position.stage as usize];
        let span = span(held, &cx);
        let timeout = held.known.plan.stages[record.position.stage as usize].policy.timeout;
        let deadline =
            call_deadline(&record, &held.known.plan).map(|deadline| deadline.saturating_since(now));
        let hook = if record.status == Status::Created { Hook::Start } else { Hook::Continue };
        let max_payload = self.shared.config.max_payload;
        let invocation = Invocation { hook, input, state: record.state, cx: cx.clone(), max_payload };
        let job = Job {
            call: Box::new(move || stage.call(invocation)),
            is_blocking: stage.is_blocking(),
            limit: Limit::new(timeout, deadline),
            clock: self.shared.clock.clone(),
            reply: ReplyTo::new(slot, serial, self.sender.clone()),
            span,
        };
        let is_blocking = job.is_blocking;
        let task = self.user.spawn(execute(job)).abort_handle();
        let renew = held.renewed + self.shared.config.lease / 3;
        let call = Call {
            serial,
            position: record.position,
            attempt,
            is_blocking,
            cx,
            task,
            cancel,
            renewing: false,
            returned: None,
        };
        self.slots.enter(slot, Phase::Calling(call));
        self.next_tick = Some(self.next_tick.map_or(renew, |tick| tick.min(renew)));
        self.report.calls += 1;
    }

    /// A call came back.
    pub(super) fn on_returned(&mut self, slot: SlotId, serial: u64, returned: Returned) {
        let call = self.slots.get(slot).and_then(Held::call).filter(|call| call.serial == serial);
        let Some(call) = call else { return };
        if call.renewing {
            call.returned = Some(returned);
        } else {
            self.on_outcome(slot, returned);
        }
    }

    /// What a call returned is decided on; no update of the run is under way.
    pub(super) fn on_outcome(&mut self, slot: SlotId, returned: Returned) {
        let now = self.shared.time.now();
        let jitter = self.jitter();
        let Some(call) = self.slots.get(slot).and_then(Held::call) else { return };
        let (position, attempt) = (call.position, call.attempt);
        let answered = |hook, outcome, kept| {
            Event::Answered(Answered { position, hook, attempt, outcome, kept }, jitter)
        };
        let erred = |error: Text| {
            answered(Hook::Continue, Outcome::Errored { error, retry_after: None }, Kept::default())
        };
        let event = match returned {
            Returned::Reply(Reply::Answered { hook, outcome, kept }) => answered(hook, outcome, kept),
            Returned::Reply(Reply::Unreadable { why, told }) => return self.leave(slot, &told, why, now),
            Returned::TimedOut(longest) => {
                erred(Text::from(format!("the call took longer than {longest:?}, its timeout")))
            }
            Returned::Expired => Event::Expired(position),
            Returned::Panicked(text) => erred(bounded(&format!("the step panicked: {text}"), MAX_REASON)),
        };
        self.decide(slot, event, now);
    }

    /// Lets the state machine decide, and queues what it writes.
    pub(super) fn decide(&mut self, slot: SlotId, event: Event, now: Timestamp) {
        let stopping = self.stopping.is_some();
        let (me, lease) = (self.me, self.shared.config.lease);
        let is_old = |held: &Held, elapsed| held.renewed + lease / 3 <= elapsed;
        let elapsed = self.shared.clock.elapsed();
        let Some(held) = self.slots.get(slot) else { return };
        let mut decision = match transition(&held.stored, &held.known.plan, event, now) {
            Ok(decision) => decision,
            Err(refusal) => {
                tracing::error!(prorch.run = %held.stored.run.id, %refusal, "the run is dropped");
                self.slots.remove(slot);
                return;
            }
        };
        if stopping && matches!(decision.next, Next::Call(_)) {
            decision.next = Next::Wait(Some(now));
        }
        let mut update = decision.into_update(&held.stored, held.guard(me), now);
        if update.hold == Hold::Keep && is_old(held, elapsed) {
            update.hold = Hold::Claim(Lease::new(me, now, lease));
        }
        self.slots.enter(slot, Phase::Writing);
        self.enqueue(slot, update);
    }

    /// Leaves a run as it is, and names it: as `told`, which has no part of a payload in it. `why` is stored.
    fn leave(&mut self, slot: SlotId, told: &str, why: Text, now: Timestamp) {
        let Some(held) = self.slots.get(slot) else { return };
        let (id, known) = (held.stored.run.id, held.known.clone());
        self.name_run(id, known.pipeline.name(), told);
        self.decide(slot, Event::Leave(why), now);
    }

    /// Queues an update that changes nothing but the claim.
    pub(super) fn write(&mut self, slot: SlotId, hold: Hold, now: Timestamp) {
        let me = self.me;
        let Some(held) = self.slots.get(slot) else { return };
        let update = Update {
            locator: held.stored.locator,
            ..Update::new(held.stored.run.id, held.guard(me), hold, now)
        };
        self.slots.enter(slot, Phase::Writing);
        self.enqueue(slot, update);
    }

    /// Gives a run back, due at once. A call that is under way is dropped.
    pub(super) fn give_back(&mut self, slot: SlotId) {
        let now = self.shared.time.now();
        let Some(held) = self.slots.get(slot) else { return };
        let release = Hold::Release { due_at: Some(now), seen: held.stored.run.inbox_seq };
        self.write(slot, release, now);
    }

    /// The store refuses what the last decision wanted to write: the step fails with that reason, or, when even that
    /// is refused, the run is left to the end of its lease.
    pub(super) fn refuse(&mut self, slot: SlotId, why: &Text) {
        let now = self.shared.time.now();
        let Some(held) = self.slots.get(slot) else { return };
        let Agenda::Call(record) = agenda(&held.stored, &held.known.plan, u32::MAX, Timestamp::MAX) else {
            self.slots.remove(slot);
            return;
        };
        let outcome = Outcome::Failed(CauseKind::Refused, why.clone());
        let (position, attempt) = (record.position, record.attempt);
        let answered = Answered { position, hook: Hook::Continue, attempt, outcome, kept: Kept::default() };
        let jitter = self.jitter();
        self.decide(slot, Event::Answered(answered, jitter), now);
    }

    /// Reads the inbox of a held run.
    pub(super) fn read_mail(&mut self, slot: SlotId) {
        let Some(held) = self.slots.get(slot) else { return };
        let (run, repository, sender) =
            (held.stored.run.id, self.shared.repository.clone(), self.sender.clone());
        tokio::spawn(async move {
            let read = repository.get(run, Part::Work).await;
            // The worker may have ended meanwhile.
            let _ = sender.send(Inbound::Mail { slot, read });
        });
    }

    pub(super) fn on_mail(&mut self, slot: SlotId, read: Result<Option<StoredRun>, StoreError>) {
        let Some(held) = self.slots.get(slot) else { return };
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
        match held.phase() {
            Phase::Reading => self.go_on(slot),
            Phase::Calling(call) => {
                if held.stored.waiting_cancel().is_some() {
                    // Nobody may listen: then the call ends in its own time.
                    let _ = call.cancel.send(true);
                }
            }
            Phase::Writing => {}
        }
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

/// What the step at `position` gets: the output of the step before it, or the run's input.
fn input(stored: &StoredRun, position: Position) -> Option<Text> {
    let Some(before) = position.stage.checked_sub(1) else { return Some(stored.run.input.clone()) };
    stored.records.get(&Position::of_stage(before)).and_then(|record| record.output.clone())
}
