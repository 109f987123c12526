use std::fmt;
use std::time::Duration;

use super::agenda::{deadline, first_record, waiting_signal, wake_at};
use super::{
    Answered, Cause, CauseKind, Guard, Hold, Hook, Jitter, Kept, Mail, MessageId, Outcome, Plan, Position,
    RecordWrite, RunState, Status, StepPlan, StepRecord, StoredRun, Text, Timestamp, Update,
};

/// What can happen to a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A call came back. The jitter spreads the delay of a retry.
    Answered(Answered, Jitter),
    /// The deadline of the step at this position passed.
    Expired(Position),
    /// The step at this position cut off its worker too often.
    Crashed(Position),
    /// This worker can't go on with the run, for this reason; another one may.
    Leave(Text),
    /// Somebody cancels the run.
    Cancel {
        /// Why.
        reason: Text,
        /// The message that said so, when it came through the inbox.
        message: Option<MessageId>,
    },
    /// Somebody pauses the run.
    Pause {
        /// The message that said so, when it came through the inbox.
        message: Option<MessageId>,
    },
    /// Somebody lets a paused run go on.
    Resume {
        /// The message that said so, when it came through the inbox.
        message: Option<MessageId>,
    },
    /// Somebody lets a failed run try again.
    Retry,
}

/// The kinds of [`Event`], the outcomes of a call told apart: the rows of the chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A call answered: the step is finished.
    Finished,
    /// A call answered: the step is pending.
    Pending,
    /// A call answered: the step waits for a signal.
    AwaitSignal,
    /// A call answered with an error that may be retried.
    Errored,
    /// A call answered: the step can't be done.
    Failed,
    /// A call answered: the step cancels the run.
    Cancelled,
    /// The step's deadline passed.
    Expired,
    /// The step cut off its worker too often.
    Crashed,
    /// A worker could not go on with the run.
    Leave,
    /// A cancel from outside.
    Cancel,
    /// A pause from outside.
    Pause,
    /// A resume from outside.
    Resume,
    /// A retry from outside.
    Retry,
}

impl Event {
    /// Which row of the chart this is.
    #[must_use]
    pub const fn kind(&self) -> EventKind {
        match self {
            Self::Answered(answered, _) => match answered.outcome {
                Outcome::Finished(_) => EventKind::Finished,
                Outcome::Pending(_) => EventKind::Pending,
                Outcome::AwaitSignal { .. } => EventKind::AwaitSignal,
                Outcome::Errored { .. } => EventKind::Errored,
                Outcome::Failed(..) => EventKind::Failed,
                Outcome::Cancelled(_) => EventKind::Cancelled,
            },
            Self::Expired(_) => EventKind::Expired,
            Self::Crashed(_) => EventKind::Crashed,
            Self::Leave(_) => EventKind::Leave,
            Self::Cancel { .. } => EventKind::Cancel,
            Self::Pause { .. } => EventKind::Pause,
            Self::Resume { .. } => EventKind::Resume,
            Self::Retry => EventKind::Retry,
        }
    }
}

/// What follows from an event: the rows to write, and what comes next.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The run's new columns; none when they stay as they are.
    pub state: Option<RunState>,
    /// Records to write.
    pub records: Vec<RecordWrite>,
    /// Messages that the decision took.
    pub taken: Vec<MessageId>,
    /// What comes next.
    pub next: Next,
}

/// What comes after a [`Decision`] is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The record at this position is called, by the same worker under the same claim.
    Call(Position),
    /// The run is given back and is due at this time, or when a message comes.
    Wait(Option<Timestamp>),
    /// The run ended.
    End,
}

impl Decision {
    /// The update that writes this decision about `run`.
    #[must_use]
    pub fn into_update(self, run: &StoredRun, guard: Guard, now: Timestamp) -> Update {
        let seen = run.seen(&self.taken, self.state.as_ref().unwrap_or(&run.run.state));
        let release = |due_at| Hold::Release { due_at, seen };
        let hold = match self.next {
            Next::Call(_) => Hold::Keep,
            Next::Wait(due_at) => release(due_at),
            Next::End => release(None),
        };
        Update {
            locator: run.locator,
            state: self.state,
            records: self.records,
            taken: self.taken,
            ..Update::new(run.run.id, guard, hold, now)
        }
    }
}

/// An event that says nothing to a run in its status: nothing changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a run that is {status} can't be {}", verb(*event))]
pub struct Refusal {
    /// The run's status.
    pub status: Status,
    /// What was asked of it.
    pub event: EventKind,
}

fn verb(event: EventKind) -> impl fmt::Display {
    match event {
        EventKind::Cancel => "cancelled",
        EventKind::Pause => "paused",
        EventKind::Resume => "resumed",
        EventKind::Retry => "retried",
        EventKind::Leave => "left",
        EventKind::AwaitSignal => "signalled",
        _ => "changed by a step",
    }
}

/// How long a run that a worker could not go on with is left alone before somebody looks at it again.
const LEAVE_FOR: Duration = Duration::from_secs(60);

/// What follows when `event` happens to `run` at `now`.
///
/// # Errors
///
/// A [`Refusal`] when the event says nothing to a run in that status. An outcome is never refused to an open run.
pub fn transition(run: &StoredRun, plan: &Plan, event: Event, now: Timestamp) -> Result<Decision, Refusal> {
    use Status::{Created, Failed, Pending};
    let facts = Facts { run, plan, now };
    let kind = event.kind();
    Ok(match (run.run.status(), event) {
        (Created | Pending, Event::Answered(call, jitter)) => {
            let Answered { position, hook, attempt, outcome, kept } = call;
            match outcome {
                Outcome::Finished(output) => facts.finish(position, output, kept),
                Outcome::Pending(None) if hook == Hook::Start => facts.go_on(position, kept),
                Outcome::Pending(delay) => facts.poll(position, delay, kept),
                Outcome::AwaitSignal { name, limit } => facts.await_signal(position, name, limit, kept),
                Outcome::Errored { error, retry_after } => {
                    facts.try_again(position, attempt, error, retry_after, jitter)
                }
                Outcome::Failed(kind, text) => facts.fail(position, kind, text),
                Outcome::Cancelled(reason) => facts.cancel(Some(position), reason, kept),
            }
        }
        (Created | Pending, Event::Expired(position)) => facts.expire(position),
        (Created | Pending, Event::Crashed(position)) => facts.crash(position),
        (Created | Pending, Event::Leave(why)) => facts.leave(why),
        (Created | Pending, Event::Cancel { reason, message }) => {
            facts.cancel(None, reason, Kept::taking(message))
        }
        (Created | Pending, Event::Pause { .. }) => facts.pause(true),
        (Created | Pending, Event::Resume { .. }) => facts.pause(false),
        (Failed, Event::Retry) => facts.reopen(),
        (status, _) => return Err(Refusal { status, event: kind }),
    })
}

impl Kept {
    fn taking(message: Option<MessageId>) -> Self {
        Self { taken: message.into_iter().collect(), ..Self::default() }
    }
}

/// What a decision is made from.
struct Facts<'a> {
    run: &'a StoredRun,
    plan: &'a Plan,
    now: Timestamp,
}

impl Facts<'_> {
    fn finish(&self, position: Position, output: Text, kept: Kept) -> Decision {
        let mut record = self.kept(position, &kept);
        record.output = Some(output.clone());
        self.end(&mut record, Status::Finished);
        let mut records = vec![self.write(record)];
        let Some(next) = self.plan.after(position) else {
            let mut state = self.state(&kept);
            state.output = Some(output);
            return self.ended(state, Status::Finished, records, kept.taken);
        };
        records.push(RecordWrite::New(StepRecord::new(next, self.name(next), self.now)));
        Decision { state: self.changed(&kept), records, taken: kept.taken, next: Next::Call(next) }
    }

    fn go_on(&self, position: Position, kept: Kept) -> Decision {
        let record = self.pending(position, &kept);
        self.decide(record, kept, Next::Call(position))
    }

    fn poll(&self, position: Position, delay: Option<Duration>, kept: Kept) -> Decision {
        let mut record = self.pending(position, &kept);
        let poll = self.step(position).map_or(Duration::ZERO, |step| step.policy.poll);
        record.due_at = Some(self.now + delay.unwrap_or(poll));
        let next = self.wait(&record);
        self.decide(record, kept, next)
    }

    fn await_signal(&self, position: Position, name: Text, limit: Option<Duration>, kept: Kept) -> Decision {
        let mut record = self.pending(position, &kept);
        record.due_at = limit.map(|limit| self.now + limit);
        let is_there = waiting_signal(self.run, &name, &kept.taken);
        record.awaits = Some(name);
        let next = if is_there { Next::Call(position) } else { self.wait(&record) };
        self.decide(record, kept, next)
    }

    fn try_again(
        &self,
        position: Position,
        attempt: u32,
        error: Text,
        retry_after: Option<Duration>,
        jitter: Jitter,
    ) -> Decision {
        let mut record = self.record(position);
        let retry = self.step(position).map(|step| step.policy.retry).unwrap_or_default();
        record.errors += 1;
        if retry.is_exhausted_by(record.errors) {
            record.resumable = record.status == Status::Pending;
            return self.failed(record, CauseKind::Error, error);
        }
        record.attempt = attempt.saturating_add(1);
        record.error = Some(error);
        record.awaits = None;
        record.due_at = Some(self.now + retry_after.unwrap_or_else(|| retry.delay(record.errors, jitter)));
        let next = self.wait(&record);
        self.decide(record, Kept::default(), next)
    }

    fn fail(&self, position: Position, kind: CauseKind, text: Text) -> Decision {
        self.failed(self.record(position), kind, text)
    }

    fn expire(&self, position: Position) -> Decision {
        let mut record = self.record(position);
        record.resumable = record.status == Status::Pending;
        let longest = self.step(position).and_then(|step| step.policy.deadline).unwrap_or_default();
        let last =
            record.error.as_ref().map(|error| format!("; its last error: {error}")).unwrap_or_default();
        let text = format!("the step did not end within its deadline of {longest:?}{last}");
        self.failed(record, CauseKind::Deadline, Text::from(text))
    }

    fn crash(&self, position: Position) -> Decision {
        let mut record = self.record(position);
        record.resumable = record.status == Status::Pending;
        let crashes = self.run.run.state.crashes;
        let text = format!(
            "{crashes} calls in a row were cut off: each time the process ended, or lost its lease, while this step \
             was being called"
        );
        self.failed(record, CauseKind::Crash, Text::from(text))
    }

    fn leave(&self, why: Text) -> Decision {
        let state = RunState { stuck: Some(why), ..self.run.run.state.clone() };
        let next = Next::Wait(Some(self.now + LEAVE_FOR));
        Decision { state: Some(state), records: Vec::new(), taken: Vec::new(), next }
    }

    fn cancel(&self, step: Option<Position>, reason: Text, kept: Kept) -> Decision {
        let open = step
            .or_else(|| self.run.current().filter(|record| record.is_open()).map(|record| record.position));
        let mut records = Vec::new();
        if let Some(position) = open {
            let mut record = self.kept(position, &kept);
            record.error = Some(reason.clone());
            self.end(&mut record, Status::Cancelled);
            records.push(self.write(record));
        }
        let mut state = self.state(&kept);
        let step = step.map(|position| self.name(position));
        state.cause = Some(Cause { step, kind: CauseKind::Cancelled, text: reason });
        self.ended(state, Status::Cancelled, records, kept.taken)
    }

    /// A pause stays in the inbox until it is resumed. So it is not lost when the run can't be paused yet, since more came
    /// for it than is known here.
    fn pause(&self, paused: bool) -> Decision {
        let state = RunState { paused, ..self.run.run.state.clone() };
        let due = match self.run.current() {
            // The signal that it waits for came: what it was due for then it is due for still.
            Some(record) if self.is_signalled(record) => Some(self.now),
            Some(record) => self.step(record.position).map_or(record.due_at, |step| wake_at(record, step)),
            None if self.run.run.lease.is_some() => Some(self.now),
            None => self.run.run.due_at,
        };
        let is_done = |mail: &Mail| *mail == Mail::Resume || *mail == Mail::Pause && !paused;
        let taken = self.run.untaken().filter(|message| is_done(&message.mail)).map(|message| message.id);
        Decision { state: Some(state), records: Vec::new(), taken: taken.collect(), next: Next::Wait(due) }
    }

    fn is_signalled(&self, record: &StepRecord) -> bool {
        record.awaits.as_ref().is_some_and(|name| waiting_signal(self.run, name, &[]))
    }

    fn reopen(&self) -> Decision {
        let state = RunState {
            status: Status::Pending,
            cause: None,
            ended_at: None,
            crashes: 0,
            stuck: None,
            ..self.run.run.state.clone()
        };
        let failed = self.run.current().filter(|record| record.status == Status::Failed);
        let records = failed.map(|record| RecordWrite::Changed(self.reopened(record))).into_iter().collect();
        let cancels = self.run.untaken().filter(|message| matches!(message.mail, Mail::Cancel { .. }));
        let taken = cancels.map(|message| message.id).collect();
        Decision { state: Some(state), records, taken, next: Next::Wait(Some(self.now)) }
    }

    /// A failed record as it tries again: where it was, or from its start.
    fn reopened(&self, failed: &StepRecord) -> StepRecord {
        let fresh = StepRecord::new(failed.position, failed.name.clone(), self.now);
        let metadata = failed.metadata.clone();
        if failed.resumable {
            StepRecord { status: Status::Pending, state: failed.state.clone(), metadata, ..fresh }
        } else {
            StepRecord { metadata, ..fresh }
        }
    }

    fn failed(&self, mut record: StepRecord, kind: CauseKind, text: Text) -> Decision {
        record.error = Some(text.clone());
        self.end(&mut record, Status::Failed);
        let mut state = self.state(&Kept::default());
        state.cause = Some(Cause { step: Some(record.name.clone()), kind, text });
        let records = vec![self.write(record)];
        self.ended(state, Status::Failed, records, Vec::new())
    }

    fn ended(
        &self,
        state: RunState,
        status: Status,
        records: Vec<RecordWrite>,
        taken: Vec<MessageId>,
    ) -> Decision {
        let state = RunState { status, paused: false, ended_at: Some(self.now), ..state };
        Decision { state: Some(state), records, taken, next: Next::End }
    }

    fn decide(&self, record: StepRecord, kept: Kept, next: Next) -> Decision {
        let state = self.changed(&kept);
        Decision { state, records: vec![self.write(record)], taken: kept.taken, next }
    }

    /// The record at `position` as it is stored, or as the run comes to it.
    fn record(&self, position: Position) -> StepRecord {
        let stored = self.run.records.get(&position).cloned();
        let first = || first_record(self.run, self.plan).filter(|first| first.position == position);
        stored.or_else(first).unwrap_or_else(|| StepRecord::new(position, self.name(position), self.now))
    }

    /// The record with what a call left on it.
    fn kept(&self, position: Position, kept: &Kept) -> StepRecord {
        let mut record = self.record(position);
        record.metadata.extend(kept.step_metadata.clone());
        record.progress = kept.progress.or(record.progress);
        record.state = kept.state.clone().or(record.state);
        record
    }

    /// The record after a call that said `pending`: errors are counted anew.
    fn pending(&self, position: Position, kept: &Kept) -> StepRecord {
        let mut record = self.kept(position, kept);
        record.status = Status::Pending;
        record.attempt = 1;
        record.errors = 0;
        record.error = None;
        record.awaits = None;
        record.due_at = Some(self.now);
        record
    }

    fn end(&self, record: &mut StepRecord, status: Status) {
        record.status = status;
        record.ended_at = Some(self.now);
        record.due_at = None;
        record.awaits = None;
    }

    fn wait(&self, record: &StepRecord) -> Next {
        Next::Wait(match self.step(record.position) {
            Some(step) => wake_at(record, step),
            None => record.due_at,
        })
    }

    fn write(&self, record: StepRecord) -> RecordWrite {
        if self.run.records.contains_key(&record.position) {
            RecordWrite::Changed(record)
        } else {
            RecordWrite::New(record)
        }
    }

    /// The run's columns after a committed outcome: it is begun, and what it kept is pinned to it.
    fn state(&self, kept: &Kept) -> RunState {
        let mut state = self.run.run.state.clone();
        state.status = Status::Pending;
        state.crashes = 0;
        state.metadata.extend(kept.run_metadata.clone());
        state
    }

    /// The same, or none when that changes nothing: a run's row is left alone from step to step.
    fn changed(&self, kept: &Kept) -> Option<RunState> {
        let old = &self.run.run.state;
        let changes = old.status != Status::Pending || old.crashes != 0 || !kept.run_metadata.is_empty();
        changes.then(|| self.state(kept))
    }

    fn step(&self, position: Position) -> Option<&StepPlan> {
        self.plan.step(position)
    }

    fn name(&self, position: Position) -> Text {
        self.step(position).map_or_else(Text::default, |step| step.name.clone())
    }
}

/// When the deadline of the record that the run is at passes, for the one who calls it.
#[must_use]
pub fn call_deadline(record: &StepRecord, plan: &Plan) -> Option<Timestamp> {
    plan.step(record.position).and_then(|step| deadline(record, step))
}
