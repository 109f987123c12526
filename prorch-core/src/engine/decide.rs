use super::doubt::intended;
use super::executor::Returned;
use super::slots::{Busy, Call, Held, SlotId};
use super::worker::Worker;
use crate::model::{
    Agenda, Answered, CauseKind, Event, Happened, Hold, Jitter, Kept, Lease, MAX_REASON, MessageId, Outcome,
    Text, Timestamp, Update, agenda, bounded, history_of, transition,
};
use crate::repository::check_update;
use crate::step::Reply;

/// Of so many runs that ended the end is decided on in one update.
const MANY_ENDS: usize = 256;

impl Worker {
    /// Decides on everything that came back, in one update.
    pub(super) fn decide_returned(&mut self, slot: SlotId, now: Timestamp) {
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
            if let Returned::Reply(Reply::Unreadable { told, .. }) = &returned {
                self.name(slot, told);
                self.was_not_called(slot, &call);
            }
            let event = event(&call, returned, jitter);
            let Some(update) = self.update_for(slot, event, now) else { return };
            all = Some(joined(all, update));
        }
        match all {
            Some(update) => self.commit(slot, update, now),
            None => self.go_on(slot),
        }
    }

    /// Decides on all that is said of runs which this one started and which have ended, in one update: a run with many
    /// children would else write once for each.
    pub(super) fn decide_ends(&mut self, slot: SlotId, first: Event, now: Timestamp) {
        let cap = self.shared.config.crash_cap;
        let mut next = Some(first);
        let mut all: Option<Update> = None;
        for _ in 0..MANY_ENDS {
            let Some(event) = next.take() else { break };
            let Some(update) = self.update_for(slot, event, now) else { return };
            all = Some(joined(all, update));
            let Some(held) = self.slots.get(slot) else { return };
            if held.stored.run.status().is_terminal() {
                break;
            }
            next = match agenda(&held.stored, &held.known.plan, cap, &held.under_way(), now) {
                Agenda::Decide(event @ Event::ChildEnded { .. }) => Some(event),
                _ => None,
            };
        }
        if let Some(update) = all {
            self.commit(slot, update, now);
        }
    }

    /// Leaves a run as it is, and names it: as `told`, which has no part of a payload in it. `why` is stored.
    pub(super) fn leave(&mut self, slot: SlotId, told: &str, why: Text, now: Timestamp) {
        self.name(slot, told);
        self.decide(slot, Event::Leave(why), now);
    }

    fn name(&mut self, slot: SlotId, told: &str) {
        let Some(held) = self.slots.get(slot) else { return };
        let (id, known) = (held.stored.run.id, held.known.clone());
        self.name_run(id, known.pipeline.name(), told);
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
        let under_way = held.under_way();
        let answered = answer_of_many(held, &event);
        let intended = intended(&event);
        let history = &self.shared.config.history;
        let keeps = history.keeps(&held.stored.run.definition.pipeline);
        let seen = keeps.then(|| Happened::of(&held.stored, &event, None, now));
        let decision = match transition(&held.stored, &held.known.plan, event, &under_way, now) {
            Ok(decision) => decision,
            Err(refusal) => {
                tracing::error!(prorch.run = %held.stored.run.id, %refusal, "the run is dropped");
                self.slots.remove(slot);
                return None;
            }
        };
        let entries = seen.map(|seen| history_of(&held.stored, &seen, &decision, now));
        let update = decision.into_update(&held.stored, held.guard(me), now);
        let update = Update { history: entries.and_then(|entries| history.append(entries)), ..update };
        if let Some((answered, jitter)) = answered
            && let Err(why) = check_update(&update)
        {
            let outcome = Outcome::Failed(CauseKind::Refused, why);
            let refused = Answered { outcome, kept: Kept::default(), ..answered };
            return self.update_for(slot, Event::Answered(refused, jitter), now);
        }
        held.intended.extend(intended);
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
            if stopping && held.calls().is_empty() {
                update.hold = Hold::Release { due_at: Some(now), seen: held.stored.run.inbox_seq };
            } else if held.renewed + lease / 3 <= elapsed {
                update.hold = Hold::Claim(Lease::new(me, now, lease));
            }
        }
        held.withdraw(&mut update);
        held.busy = Busy::Writing;
        self.enqueue(slot, update);
    }

    /// Queues an update that changes nothing but the claim.
    pub(super) fn write(&mut self, slot: SlotId, hold: Hold, now: Timestamp) {
        let me = self.me;
        let Some(held) = self.slots.get(slot) else { return };
        let mut update = Update {
            locator: held.stored.locator,
            ..Update::new(held.stored.run.id, held.guard(me), hold, now)
        };
        held.withdraw(&mut update);
        held.busy = Busy::Writing;
        self.enqueue(slot, update);
    }

    /// Gives a run back, due at once. Calls that are under way are dropped.
    pub(super) fn give_back(&mut self, slot: SlotId) {
        let now = self.shared.time.now();
        self.slots.drop_calls(slot);
        let Some(held) = self.slots.get(slot) else { return };
        let release = Hold::Release { due_at: Some(now), seen: held.stored.run.inbox_seq };
        self.write(slot, release, now);
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

/// The answer, if it is one of a stage with several members: among those the one that can't be stored is found before they
/// are written together. Alone the store says so.
fn answer_of_many(held: &Held, event: &Event) -> Option<(Answered, Jitter)> {
    match event {
        Event::Answered(answered, jitter) if held.stored.run.state.fan.is_some() => {
            Some((answered.clone(), *jitter))
        }
        _ => None,
    }
}

fn joined(earlier: Option<Update>, update: Update) -> Update {
    match earlier {
        Some(earlier) => earlier.then(update),
        None => update,
    }
}

/// What a call that came back says to the state machine.
fn event(call: &Call, returned: Returned, jitter: Jitter) -> Event {
    let (position, attempt) = (call.position, call.attempt);
    let answered =
        |hook, outcome, kept| Event::Answered(Answered { position, hook, attempt, outcome, kept }, jitter);
    let erred =
        |error: Text| answered(call.hook, Outcome::Errored { error, retry_after: None }, Kept::default());
    match returned {
        Returned::Reply(Reply::Answered { hook, outcome, kept }) => answered(hook, outcome, kept),
        Returned::Reply(Reply::Unreadable { why, .. }) => Event::Leave(why),
        Returned::TimedOut(longest) => {
            erred(Text::from(format!("the call took longer than {longest:?}, its timeout")))
        }
        Returned::Expired => Event::Expired(position),
        Returned::Panicked(text) => erred(bounded(&format!("the step panicked: {text}"), MAX_REASON)),
    }
}
