use std::time::Duration;

use super::agenda::{deadline, first_record, waiting_signal, wake_at};
use super::doubt::in_doubt;
use super::{
    Answered, Cause, CauseKind, Child, Decision, Event, Hook, Jitter, Kept, Mail, MessageId, NewRun, Next,
    Outcome, Parent, Plan, Position, RecordWrite, Refusal, Removal, RunId, RunState, ScheduleState, Status,
    StepPlan, StepRecord, StoredRun, Text, Timestamp, UndoPhase,
};

/// How long a run that a worker could not go on with is left alone before somebody looks at it again.
const LEAVE_FOR: Duration = Duration::from_secs(60);

/// What follows when `event` happens to `run` at `now`, while the records at `under_way` are being called; a call that
/// came back with the event is not among them.
///
/// # Errors
///
/// A [`Refusal`] when the event says nothing to a run in that status. An outcome is never refused to an open run.
pub fn transition(
    run: &StoredRun,
    plan: &Plan,
    event: Event,
    under_way: &[Position],
    now: Timestamp,
) -> Result<Decision, Refusal> {
    use Status::{Cancelled, Created, Failed, Finished, Pending};
    let facts = Facts { run, plan, under_way, now };
    let (kind, undo, sealed) = (event.kind(), run.run.state.undo_phase(), run.run.sealed);
    let decision = match (run.run.status(), event) {
        (Pending, event) if run.run.state.is_undoing() => return facts.undoing(event),
        (Created | Pending, Event::Answered(call, jitter)) => {
            let Answered { position, hook, attempt, outcome, kept } = call;
            match outcome {
                Outcome::Finished(output) => facts.finish(position, Some(output), &kept),
                Outcome::Pending(None) if hook == Hook::Start => facts.go_on(position, &kept),
                Outcome::Pending(delay) => facts.poll(position, delay, &kept),
                Outcome::AwaitSignal { name, limit } => facts.await_signal(position, name, limit, &kept),
                Outcome::Spawn { run, input } => facts.spawn(position, run, input, &kept),
                Outcome::Ticked { starts, next } => facts.tick(position, starts, next, &kept),
                Outcome::Errored { error, retry_after } => {
                    facts.try_again(position, hook, attempt, error, retry_after, jitter)
                }
                Outcome::StartAgain => facts.start_again(position, hook, &kept),
                Outcome::Failed(kind, text) => facts.fail(position, kind, text),
                Outcome::Cancelled(reason) => facts.give_up(position, reason, &kept),
            }
        }
        (Created | Pending, Event::Intended(positions)) => facts.intend(&positions),
        (Created | Pending, Event::Begun) => facts.begin(),
        (Created | Pending, Event::Opened(width)) => facts.open(width),
        (Created | Pending, Event::ChildEnded { position, child, status, reason, message }) => {
            let kept = Kept::taking(Some(message));
            match facts.child(position, child) {
                None => facts.rest(facts.begun(&kept)),
                Some(_) if status == Status::Finished => facts.finish(position, None, &kept),
                Some(record) => facts.child_ended(record, child, status, reason, &kept),
            }
        }
        (Created | Pending, Event::Settled) => facts.rest(facts.begun(&Kept::default())),
        (Created | Pending, Event::Expired(position)) => facts.expire(position),
        (Created | Pending, Event::Crashed(position)) => facts.crash(position),
        (Created | Pending, Event::Leave(why)) => facts.leave(why),
        (Created | Pending, Event::Cancel { reason, message }) => facts.cancel(reason, message),
        (Created | Pending, Event::Pause { .. }) => facts.pause(true),
        (Created | Pending, Event::Resume { .. }) => facts.pause(false),
        (Finished | Failed | Cancelled, Event::Remove(removal)) => facts.remove(removal),
        (Failed, Event::Retry) if !sealed && undo == Some(UndoPhase::Stuck) => {
            facts.undo_again(facts.no_cancels())
        }
        (Failed, Event::Retry) if !sealed && undo.is_none() => facts.reopen(),
        (Failed, Event::Verdict(position, verdict))
            if !sealed && undo.is_none() && facts.is_in_doubt(position) =>
        {
            facts.verdict(position, verdict)
        }
        (status, _) => return Err(Refusal { status, event: kind, undo, sealed }),
    };
    Ok(facts.rated(decision))
}

impl Kept {
    fn taking(message: Option<MessageId>) -> Self {
        Self { taken: message.into_iter().collect(), ..Self::default() }
    }
}

/// What a decision is made from.
pub(super) struct Facts<'a> {
    pub(super) run: &'a StoredRun,
    pub(super) plan: &'a Plan,
    pub(super) under_way: &'a [Position],
    pub(super) now: Timestamp,
}

impl Facts<'_> {
    /// The step at `position` is done, and handed this on; a run of its own keeps what it handed on itself.
    fn finish(&self, position: Position, output: Option<Text>, kept: &Kept) -> Decision {
        let mut record = self.kept(position, kept);
        record.output.clone_from(&output);
        self.end(&mut record, Status::Finished);
        let mut draft = self.begun(kept);
        draft.records.push(self.write(record));
        self.finished(draft, position, output)
    }

    fn go_on(&self, position: Position, kept: &Kept) -> Decision {
        let record = self.pending(position, kept);
        self.decide(record, kept)
    }

    fn poll(&self, position: Position, delay: Option<Duration>, kept: &Kept) -> Decision {
        let mut record = self.pending(position, kept);
        let poll = self.step(position).map_or(Duration::ZERO, |step| step.policy.poll);
        record.due_at = Some(self.gathered(position, self.now + delay.unwrap_or(poll)));
        self.later(position, self.decide(record, kept))
    }

    fn await_signal(&self, position: Position, name: Text, limit: Option<Duration>, kept: &Kept) -> Decision {
        let mut record = self.pending(position, kept);
        record.due_at = limit.map(|limit| self.now + limit);
        record.awaits = Some(name);
        self.decide(record, kept)
    }

    /// The step is a run of its own, which is started with this input.
    fn spawn(&self, position: Position, run: RunId, input: Text, kept: &Kept) -> Decision {
        let step = self.step(position);
        let Some((definition, begins)) =
            step.and_then(|step| Some((step.child.clone()?, &step.child_begins)))
        else {
            let text =
                Text::from("the step answered with a run to start, and its pipeline has no such run here");
            return self.fail(position, CauseKind::Error, text);
        };
        let mut record = self.pending(position, kept);
        let generation = record.child.map_or(0, |child| child.generation + 1);
        record.child = Some(Child { run, generation });
        record.due_at = None;
        let parent = &self.run.run;
        let key = Text::from(format!("{}/{position}/{generation}", parent.id));
        let mut draft = self.begun(kept);
        draft.starts.push(NewRun {
            key: Some(key),
            priority: parent.priority,
            parent: Some(Parent { run: parent.id, position }),
            starts: begins.starts.clone(),
            metadata: parent.counted_by(&begins.per),
            spared: parent.spared.iter().chain(&parent.permits.running).cloned().collect(),
            ..NewRun::new(run, definition, input, self.now)
        });
        draft.records.push(self.write(record));
        self.rest(draft)
    }

    /// The ticks of a schedule start these runs, in the update that says which of its ticks are past.
    fn tick(
        &self,
        position: Position,
        starts: Vec<NewRun>,
        next: Option<Timestamp>,
        kept: &Kept,
    ) -> Decision {
        let mut record = self.pending(position, kept);
        record.due_at = next;
        record.awaits = Some(Text::from(ScheduleState::CHANGE));
        let first = self.step(position).and_then(|step| step.child_begins.starts.clone());
        let starts = starts.into_iter().map(|new| NewRun { starts: first.clone(), ..new }).collect();
        Decision { starts, ..self.decide(record, kept) }
    }

    /// The record whose run this is, if it still waits for it.
    pub(super) fn child(&self, position: Position, child: RunId) -> Option<StepRecord> {
        let record = self.run.records.get(&position).filter(|record| record.is_open())?;
        record.child.filter(|own| own.run == child).map(|_| record.clone())
    }

    fn child_ended(
        &self,
        mut record: StepRecord,
        child: RunId,
        status: Status,
        reason: Option<Text>,
        kept: &Kept,
    ) -> Decision {
        let pipeline = self.step(record.position).and_then(|step| step.child.as_ref());
        let pipeline = pipeline.map_or_else(Text::default, |child| child.pipeline.clone());
        let reason = reason.unwrap_or_else(|| Text::from("no reason is stored"));
        let kind = if status == Status::Cancelled { CauseKind::Cancelled } else { CauseKind::Child };
        let end = if status == Status::Cancelled { Status::Cancelled } else { Status::Failed };
        let text = Text::from(format!("run {child} of pipeline `{pipeline}` {end}: {reason}"));
        record.error = Some(text.clone());
        self.end(&mut record, end);
        let cause = self.cause(&record, kind, text);
        let mut draft = self.begun(kept);
        draft.records.push(self.write(record));
        self.broken(draft, cause)
    }

    fn try_again(
        &self,
        position: Position,
        hook: Hook,
        attempt: u32,
        error: Text,
        retry_after: Option<Duration>,
        jitter: Jitter,
    ) -> Decision {
        let mut record = self.record(position);
        let retry = self.step(position).map(|step| step.policy.retry).unwrap_or_default();
        record.errors += 1;
        // Of a first call that erred and is made only once it is asked first what became of it.
        let is_asked_about = record.is_in_doubt() && hook != Hook::Uncertain;
        if retry.is_exhausted_by(record.errors) && !is_asked_about {
            record.resumable = record.status == Status::Pending;
            return self.failed(record, CauseKind::Error, error);
        }
        record.attempt = attempt.saturating_add(1);
        record.error = Some(error);
        record.awaits = None;
        let delay = retry_after.unwrap_or_else(|| retry.delay(record.errors, jitter));
        record.due_at = Some(self.gathered(position, self.now + delay));
        self.later(position, self.decide(record, &Kept::default()))
    }

    pub(super) fn fail(&self, position: Position, kind: CauseKind, text: Text) -> Decision {
        let mut record = self.record(position);
        if kind == CauseKind::Error {
            // The step knows what became of it.
            record.intent = None;
        }
        self.failed(record, kind, text)
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

    pub(super) fn leave(&self, why: Text) -> Decision {
        let state = RunState { stuck: Some(why), ..self.run.run.state.clone() };
        let next = Next::Wait(Some(self.now + LEAVE_FOR));
        Draft { state: Some(state), ..Draft::default() }.decision(next)
    }

    /// The step says that the run should end.
    fn give_up(&self, position: Position, reason: Text, kept: &Kept) -> Decision {
        let mut record = self.kept(position, kept);
        record.error = Some(reason.clone());
        self.end(&mut record, Status::Cancelled);
        let cause = self.cause(&record, CauseKind::Cancelled, reason);
        let mut draft = self.begun(kept);
        draft.records.push(self.write(record));
        self.broken(draft, cause)
    }

    fn cancel(&self, reason: Text, message: Option<MessageId>) -> Decision {
        let mut draft = self.begun(&Kept::taking(message));
        self.state_of(&mut draft).cause =
            Some(Cause { step: None, kind: CauseKind::Cancelled, text: reason.clone() });
        self.stop(draft, Status::Cancelled, &reason)
    }

    /// A pause stays in the inbox until it is resumed. So it is not lost when the run can't be paused yet, since more came
    /// for it than is known here.
    pub(super) fn pause(&self, paused: bool) -> Decision {
        let state = RunState { paused, ..self.run.run.state.clone() };
        let mut here = self.run.current().filter(|record| record.is_open()).peekable();
        let due = if here.peek().is_some() {
            here.filter_map(|record| self.wakes(record, &[])).min()
        } else if self.run.run.lease.is_some() {
            Some(self.now)
        } else {
            self.run.run.due_at
        };
        let is_done = |mail: &Mail| *mail == Mail::Resume || *mail == Mail::Pause && !paused;
        let taken = self.run.untaken().filter(|message| is_done(&message.mail)).map(|message| message.id);
        Draft { state: Some(state), taken: taken.collect(), ..Draft::default() }.decision(Next::Wait(due))
    }

    /// What hangs on the run goes first; who decides on that does it again until the run itself is gone.
    fn remove(&self, removal: Removal) -> Decision {
        Draft { removal: Some(removal), ..Draft::default() }.decision(Next::End)
    }

    fn reopen(&self) -> Decision {
        self.reopening().decision(Next::Wait(Some(self.now)))
    }

    /// The run is pending again, and those of its stage that ended badly are open.
    pub(super) fn reopening(&self) -> Draft {
        let state = RunState {
            status: Status::Pending,
            cause: None,
            ended_at: None,
            crashes: 0,
            stuck: None,
            ..self.run.run.state.clone()
        };
        let ended = |record: &&StepRecord| matches!(record.status, Status::Failed | Status::Cancelled);
        let again =
            self.run.current().filter(ended).map(|record| RecordWrite::Changed(self.reopened(record)));
        Draft { state: Some(state), records: again.collect(), ..self.no_cancels() }
    }

    /// The cancels that wait in the inbox are taken: they meant the run as it was.
    fn no_cancels(&self) -> Draft {
        let cancels = self.run.untaken().filter(|message| matches!(message.mail, Mail::Cancel { .. }));
        Draft { taken: cancels.map(|message| message.id).collect(), ..Draft::default() }
    }

    /// A record that ended badly as it tries again: where it was, or from its start. One that is a run of its own starts
    /// another; of one that is in doubt it is asked again what became of it.
    fn reopened(&self, ended: &StepRecord) -> StepRecord {
        let fresh = StepRecord::new(ended.position, ended.name.clone(), self.now);
        let kept = StepRecord { metadata: ended.metadata.clone(), child: ended.child, ..fresh };
        if ended.resumable && ended.child.is_none() {
            StepRecord { status: Status::Pending, state: ended.state.clone(), ..kept }
        } else if ended.is_in_doubt() {
            StepRecord { intent: ended.intent, state: ended.state.clone(), ..kept }
        } else {
            kept
        }
    }

    pub(super) fn failed(&self, mut record: StepRecord, kind: CauseKind, text: Text) -> Decision {
        let (kind, text) = if record.is_in_doubt() { in_doubt(&text) } else { (kind, text) };
        record.error = Some(text.clone());
        self.end(&mut record, Status::Failed);
        let cause = self.cause(&record, kind, text);
        let mut draft = self.begun(&Kept::default());
        draft.records.push(self.write(record));
        self.broken(draft, cause)
    }

    fn decide(&self, record: StepRecord, kept: &Kept) -> Decision {
        let mut draft = self.begun(kept);
        draft.records.push(self.write(record));
        self.rest(draft)
    }

    /// The decision about a step that asks to be called again. However short its pause is, the run is given back for it,
    /// if nothing else of it is to be done: else one that polls without a pause would keep others from its place.
    fn later(&self, position: Position, decision: Decision) -> Decision {
        let is_due =
            |record: &StepRecord| self.wakes(record, &decision.taken).is_some_and(|at| at <= self.now);
        let mut others = self.run.current().filter(|record| record.position != position && record.is_open());
        let is_alone = self.under_way.is_empty() && !others.any(is_due);
        let next =
            if is_alone && decision.next == Next::GoOn { Next::Wait(Some(self.now)) } else { decision.next };
        Decision { next, ..decision }
    }

    /// The record at `position` as it is stored, or as the run comes to it.
    pub(super) fn record(&self, position: Position) -> StepRecord {
        let stored = self.run.records.get(&position).cloned();
        let first = || first_record(self.run, self.plan).filter(|first| first.position == position);
        stored.or_else(first).unwrap_or_else(|| StepRecord::new(position, self.name(position), self.now))
    }

    /// The record with what a call left on it.
    pub(super) fn kept(&self, position: Position, kept: &Kept) -> StepRecord {
        let mut record = self.record(position);
        record.intent = None;
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

    pub(super) fn end(&self, record: &mut StepRecord, status: Status) {
        record.status = status;
        record.ended_at = Some(self.now);
        record.due_at = None;
        record.awaits = None;
    }

    pub(super) fn write(&self, record: StepRecord) -> RecordWrite {
        if self.run.records.contains_key(&record.position) {
            RecordWrite::Changed(record)
        } else {
            RecordWrite::New(record)
        }
    }

    /// When the record wants to be looked at: at once when the signal that it waits for is there, and not taken now.
    pub(super) fn wakes(&self, record: &StepRecord, taken: &[MessageId]) -> Option<Timestamp> {
        if record.awaits.as_ref().is_some_and(|name| waiting_signal(self.run, name, taken)) {
            return Some(self.now);
        }
        self.step(record.position).map_or(record.due_at, |step| wake_at(record, step))
    }

    /// When the record is due that wants to be called at this time.
    fn gathered(&self, position: Position, at: Timestamp) -> Timestamp {
        self.step(position).map_or(at, |step| step.policy.gathered(at))
    }

    pub(super) fn step(&self, position: Position) -> Option<&StepPlan> {
        self.plan.step(position)
    }

    pub(super) fn name(&self, position: Position) -> Text {
        self.step(position).map_or_else(Text::default, |step| step.name.clone())
    }
}

/// When the deadline of the record that the run is at passes, for the one who calls it.
#[must_use]
pub fn call_deadline(record: &StepRecord, plan: &Plan) -> Option<Timestamp> {
    plan.step(record.position).and_then(|step| deadline(record, step))
}

/// A decision that is being made.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) state: Option<RunState>,
    pub(super) records: Vec<RecordWrite>,
    pub(super) taken: Vec<MessageId>,
    pub(super) posts: Vec<super::Post>,
    pub(super) starts: Vec<NewRun>,
    pub(super) removal: Option<Removal>,
}

impl Draft {
    pub(super) fn decision(self, next: Next) -> Decision {
        let Self { state, records, taken, posts, starts, removal } = self;
        Decision { state, records, taken, posts, starts, removal, next }
    }
}
