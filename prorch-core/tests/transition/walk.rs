//! Runs that anything happens to, in any order: what must hold after every event.

use std::time::Duration;

use prorch_core::model::{
    Agenda, Answer, Answered, CauseKind, Event, Hook, Jitter, Kept, Mail, MessageId, Outcome, Plan, Status,
    StoredRun, Timestamp, agenda, transition,
};

use crate::bench::{at, claim, created, guard, message, plan, plan_with_deadline, signal, stage, text};

const WALKS: u64 = 400;
const MOST_EVENTS: u64 = 60;

/// Numbers that look random and are the same every time (a 64-bit linear congruential generator, Knuth's constants).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn outcome(&mut self) -> Outcome {
        let time = Duration::from_secs(self.below(20));
        match self.below(9) {
            0..=2 => Outcome::Finished(text("1")),
            3 => Outcome::Pending(None),
            4 => Outcome::Pending(Some(time)),
            5 => Outcome::AwaitSignal { name: text("go"), limit: (self.below(2) == 0).then_some(time) },
            6 => Outcome::Errored { error: text("busy"), retry_after: (self.below(2) == 0).then_some(time) },
            7 => Outcome::Failed(CauseKind::Error, text("gone")),
            _ => Outcome::Cancelled(text("enough")),
        }
    }

    fn answer(&mut self, stored: &StoredRun) -> Event {
        let position = stored.current().last().map_or(stage(0), |record| record.position);
        let taken = stored.untaken().filter(|message| matches!(message.mail, Mail::Signal { .. }));
        let kept = Kept {
            state: (self.below(2) == 0).then(|| text("{}")),
            taken: taken.take(self.below(2) as usize).map(|message| message.id).collect(),
            ..Kept::default()
        };
        let hook = if self.below(2) == 0 { Hook::Start } else { Hook::Continue };
        let attempt = stored.current().last().map_or(1, |record| record.attempt);
        let answered = Answered { position, hook, attempt, outcome: self.outcome(), kept };
        Event::Answered(answered, Jitter::new(self.below(100) as f64 / 100.0))
    }

    /// Something that may happen to a run while somebody holds it; what makes no sense for its status is to be refused.
    fn event(&mut self, stored: &StoredRun, plan: &Plan, now: Timestamp) -> Event {
        let here = stored.current().last().map_or(stage(0), |record| record.position);
        match self.below(30) {
            0 => Event::Expired(here),
            1 => Event::Crashed(here),
            2 => Event::Leave(text("unknown")),
            3 => Event::Cancel { reason: text("enough"), message: None },
            4..=5 => Event::Pause { message: None },
            6..=7 => Event::Resume { message: None },
            8..=12 => Event::Retry,
            13..=16 => match agenda(stored, plan, 5, &[], now) {
                Agenda::Decide(event) => event,
                _ => self.answer(stored),
            },
            _ => self.answer(stored),
        }
    }

    /// Something that may happen to a run that nobody holds.
    fn outside(&mut self) -> Event {
        match self.below(40) {
            0 => Event::Cancel { reason: text("enough"), message: None },
            1..=10 => Event::Pause { message: None },
            11..=36 => Event::Resume { message: None },
            _ => Event::Retry,
        }
    }
}

/// What is wrong with a run, whatever happened to it.
fn wrong(stored: &StoredRun, plan: &Plan) -> Option<&'static str> {
    let (run, state) = (&stored.run, &stored.run.state);
    let records: Vec<_> = stored.records.values().collect();
    let ended = state.status.is_terminal();
    let ends = |status| records.iter().filter(|record| record.status == status).count();
    let earlier = records.split_last().map_or(&[][..], |(_, earlier)| earlier);
    let in_order = (0..).zip(&records).all(|(at, record)| record.position == stage(at));
    let idle = run.lease.is_none() && !ended && !state.paused;
    let signals = stored.untaken().filter(|message| matches!(message.mail, Mail::Signal { .. })).count();
    let waits = records.last().is_some_and(|record| record.awaits.is_some()) && signals == 0;
    let checks = [
        (ended == state.ended_at.is_some(), "an end has a time, and only an end"),
        (!ended || run.lease.is_none() && run.due_at.is_none(), "nobody holds or wants a run that ended"),
        (!ended || !state.paused, "a run that ended is not paused"),
        ((state.status == Status::Finished) == state.output.is_some(), "an output comes with a finished run"),
        (
            matches!(state.status, Status::Failed | Status::Cancelled) == state.cause.is_some(),
            "a cause comes with a run that ended badly",
        ),
        (
            state.status != Status::Finished || ends(Status::Finished) == plan.stages.len(),
            "all steps are finished",
        ),
        ((state.status == Status::Failed) == (ends(Status::Failed) == 1), "one step failed"),
        (state.status != Status::Created || records.is_empty(), "a created run has come to no step"),
        (in_order, "the records follow each other"),
        (earlier.iter().all(|record| record.status == Status::Finished), "only the last may not be finished"),
        (
            records.iter().all(|record| (record.status == Status::Finished) == record.output.is_some()),
            "an output comes with a finished step",
        ),
        (
            records.iter().all(|record| record.is_open() != record.ended_at.is_some()),
            "an ended step has a time, and only that",
        ),
        (
            records.iter().all(|record| record.is_open() || record.due_at.is_none()),
            "an ended step is not due",
        ),
        (
            records.iter().all(|record| !record.is_open() || record.errors < 2 && record.attempt >= 1),
            "an open step has attempts left",
        ),
        (
            !idle || run.due_at.is_some() || waits,
            "an idle run is due some time, or waits for a signal that is not there",
        ),
        (stored.inbox.is_sorted_by_key(|message| message.seq), "the inbox is in order"),
        (
            ended || !matches!(agenda(stored, plan, 5, &[], at(0)), Agenda::Decide(Event::Leave(_))),
            "it fits its plan",
        ),
    ];
    checks.into_iter().find(|(holds, _)| !holds).map(|(_, rule)| rule)
}

/// Lets `event` happen, if it is not refused, and says whether it did.
fn happens(stored: &mut StoredRun, plan: &Plan, event: Event, now: Timestamp) -> bool {
    let before = stored.run.status();
    let retry = event == Event::Retry;
    let Ok(decision) = transition(stored, plan, event.clone(), &[], now) else {
        assert!(before.is_terminal() || retry, "{event:?} is refused to an open run");
        return false;
    };
    assert!(
        !before.is_terminal() || retry && before == Status::Failed,
        "{event:?} changes a run that is {before}"
    );
    let epoch = stored.run.epoch;
    let update = decision.into_update(stored, guard(stored), now);
    assert!(matches!(update.apply(stored), Answer::Applied { .. }), "{update:?}");
    assert!(!before.is_terminal() || stored.run.epoch > epoch, "a way out of an end raises the epoch");
    true
}

#[test]
fn whatever_happens_a_run_stays_in_order() {
    let mut ends = [0; 5];
    for seed in 0..WALKS {
        let plan = if seed % 2 == 0 { plan() } else { plan_with_deadline(40) };
        let (mut chance, mut stored, mut now) = (Chance(seed), created(), at(0));
        let mut story = Vec::new();
        for n in 0..1 + chance.below(MOST_EVENTS) {
            now = now + Duration::from_secs(chance.below(8));
            if chance.below(5) == 0 {
                let n = n as u8 + 1;
                stored.receive(&if chance.below(4) > 0 { signal(n, "go") } else { message(n, Mail::Pause) });
            }
            if stored.run.is_due(now) && chance.below(4) > 0 {
                claim(&mut stored, now);
            }
            let held = stored.run.lease.is_some();
            let event = if held { chance.event(&stored, &plan, now) } else { chance.outside() };
            let taken: Vec<MessageId> = taken(&stored);
            if happens(&mut stored, &plan, event.clone(), now) {
                story.push(event);
            }
            assert!(taken.iter().all(|id| self::taken(&stored).contains(id)), "a message is taken for good");
            let wrong = wrong(&stored, &plan);
            assert_eq!(wrong, None, "walk {seed}: {stored:#?}\nafter {story:#?}");
        }
        ends[stored.run.status() as usize] += 1;
    }
    assert!(ends[2..].iter().all(|count| *count > 10), "the walks end in every way: {ends:?}");
}

fn taken(stored: &StoredRun) -> Vec<MessageId> {
    stored.taken.iter().copied().collect()
}
