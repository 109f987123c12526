use std::time::Duration;

use prorch_core::model::{
    Answer, Answered, Begins, Decision, Event, Guard, Hold, Hook, Jitter, Kept, Lease, Mail, Message,
    MessageId, NewRun, Next, Outcome, Plan, Position, RetryPolicy, RunId, StagePlan, Status, StepPlan,
    StepPolicy, StepRecord, StoredRun, Text, Timestamp, UndoOn, Update, WorkerId, definition_key, transition,
};

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_800_000_000_000_000 + seconds * 1_000_000)
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn text(text: &str) -> Text {
    Text::from(text)
}

/// Three steps: two attempts, one second apart at first, a poll every five seconds, no deadline.
pub(crate) fn plan() -> Plan {
    let retry = RetryPolicy { max_attempts: 2, first_delay: seconds(1), max_delay: seconds(8) };
    let policy = StepPolicy { retry, timeout: seconds(60), poll: seconds(5), ..StepPolicy::DEFAULT };
    let names = ["generate", "transfer", "notify"];
    let stages = names.map(|name| one(text(name), policy)).into();
    Plan { definition: definition_key("backup", names), stages, undo: UndoOn::NEVER }
}

/// A stage of one step that is called.
pub(crate) fn one(name: Text, policy: StepPolicy) -> StagePlan {
    StagePlan::One(StepPlan {
        name,
        policy,
        child: None,
        renamed: None,
        undoes: true,
        rate: None,
        child_begins: Begins::default(),
    })
}

/// The same with a deadline on every step.
pub(crate) fn plan_with_deadline(deadline: u64) -> Plan {
    let mut plan = plan();
    for step in plan.stages.iter_mut().flat_map(StagePlan::steps_mut) {
        step.policy.deadline = Some(seconds(deadline));
    }
    plan
}

pub(crate) fn holder() -> WorkerId {
    WorkerId::from_bytes([1; 16])
}

pub(crate) fn message(n: u8, mail: Mail) -> Message {
    Message::new(MessageId::from_bytes([n; 16]), mail, at(0))
}

pub(crate) fn signal(n: u8, name: &str) -> Message {
    message(n, Mail::Signal { name: text(name), payload: text("1") })
}

/// A run that was started and not claimed.
pub(crate) fn created() -> StoredRun {
    let id = RunId::from_bytes([9; 16]);
    StoredRun::new(NewRun::new(id, plan().definition, text("null"), at(0)))
}

/// The same, claimed at the beginning.
pub(crate) fn claimed() -> StoredRun {
    let mut stored = created();
    claim(&mut stored, at(0));
    stored
}

pub(crate) fn claim(stored: &mut StoredRun, now: Timestamp) {
    let claim = stored.run.claim(Lease::new(holder(), now, seconds(30)), now);
    assert!(matches!(claim.apply(stored), Answer::Applied { .. }));
}

/// A run that a worker holds at this stage, with what came before it finished, and this step's record as it was entered.
pub(crate) fn held_at(stage: u32) -> StoredRun {
    let mut stored = claimed();
    for done in 0..stage {
        act(&mut stored, &plan(), answer(done, finished()), at(0));
    }
    stored
}

/// The same, with the step itself pending.
pub(crate) fn pending_at(stage: u32) -> StoredRun {
    let mut stored = held_at(stage);
    act(&mut stored, &plan(), answer(stage, Outcome::Pending(None)), at(0));
    stored
}

pub(crate) fn stage(stage: u32) -> Position {
    Position::of_stage(stage)
}

pub(crate) fn finished() -> Outcome {
    Outcome::Finished(text("1"))
}

pub(crate) fn errored() -> Outcome {
    Outcome::Errored { error: text("the disk is full"), retry_after: None }
}

/// The call of this stage's `on_start` came back with this.
pub(crate) fn answer(at: u32, outcome: Outcome) -> Event {
    answered(at, Hook::Start, outcome, Kept::default())
}

pub(crate) fn answered(at: u32, hook: Hook, outcome: Outcome, kept: Kept) -> Event {
    Event::Answered(Answered { position: stage(at), hook, attempt: 1, outcome, kept }, Jitter::NONE)
}

/// What follows, if the event is not refused.
pub(crate) fn decide(stored: &StoredRun, plan: &Plan, event: Event, now: Timestamp) -> Decision {
    transition(stored, plan, event, &[], now).unwrap()
}

/// Lets the event happen to a run that is held, or idle, and brings what comes next.
pub(crate) fn act(stored: &mut StoredRun, plan: &Plan, event: Event, now: Timestamp) -> Next {
    let decision = decide(stored, plan, event, now);
    let next = decision.next;
    let update = decision.into_update(stored, guard(stored), now);
    assert!(matches!(update.apply(stored), Answer::Applied { .. }), "{update:?}");
    next
}

pub(crate) fn guard(stored: &StoredRun) -> Guard {
    match stored.run.lease {
        Some(lease) => Guard::Held(stored.run.epoch, lease.holder),
        None => Guard::Idle(stored.run.epoch),
    }
}

pub(crate) fn record(stored: &StoredRun, at: u32) -> &StepRecord {
    &stored.records[&stage(at)]
}

pub(crate) fn statuses(stored: &StoredRun) -> Vec<Status> {
    stored.records.values().map(|record| record.status).collect()
}

/// A run that ended like this, and was given back.
pub(crate) fn ended(status: Status) -> StoredRun {
    let (mut stored, event) = match status {
        Status::Finished => (held_at(2), answer(2, finished())),
        Status::Failed => {
            let kind = prorch_core::model::CauseKind::Error;
            (held_at(1), answer(1, Outcome::Failed(kind, text("gone"))))
        }
        _ => (held_at(1), Event::Cancel { reason: text("enough"), message: None }),
    };
    act(&mut stored, &plan(), event, at(0));
    assert_eq!((stored.run.status(), stored.run.lease), (status, None));
    stored
}

/// Gives the run back without deciding anything.
pub(crate) fn release(stored: &mut StoredRun, due_at: Option<Timestamp>) {
    let hold = Hold::Release { due_at, seen: stored.run.inbox_seq };
    let update = Update::new(stored.run.id, guard(stored), hold, at(0));
    assert!(matches!(update.apply(stored), Answer::Applied { .. }));
}
