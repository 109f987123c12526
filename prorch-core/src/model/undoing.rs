//! What follows when something happens to a run that is undone: see [`Undo`].

use super::agenda::waiting_signal;
use super::transition::{Draft, Facts};
use super::{
    Answered, Cause, CauseKind, Compensation, Decision, Event, Jitter, Kept, MAX_REASON, Mail, MessageId,
    Next, Outcome, Plan, Position, RecordWrite, Refusal, RunId, RunState, StagePlan, Status, StepRecord,
    Text, Timestamp, Undo, UndoPhase, bounded,
};

/// What is added to the reason of the end of a run that was undone.
const UNDONE: &str = "what its steps had done is undone";

impl Facts<'_> {
    /// What has not finished ends, and with it the run; where what it did is to be undone, that comes first.
    pub(super) fn stop(&self, mut draft: Draft, status: Status, reason: &Text) -> Decision {
        let undoes = self.plan.undo.covers(status) && self.run.run.state.started_at.is_some();
        let open: Vec<StepRecord> = self.here(&draft).filter(|record| record.is_open()).cloned().collect();
        for record in open {
            match record.child.filter(|_| undoes && record.waits_for_child()) {
                // Its end is waited for: it may have something of its own to undo.
                Some(child) => self.post(&mut draft, child.run, Mail::Cancel { reason: reason.clone() }),
                None => self.cut(&mut draft, record, reason),
            }
        }
        if undoes { self.begin_undoing(draft, reason) } else { self.ended(draft, status) }
    }

    fn begin_undoing(&self, mut draft: Draft, reason: &Text) -> Decision {
        if self.run.records.is_empty() && draft.records.is_empty() {
            // The first step may have been called, and has no record yet.
            let first = super::agenda::first_record(self.run, self.plan);
            first.into_iter().for_each(|record| self.cut(&mut draft, record, reason));
        }
        if self.here(&draft).any(StepRecord::is_open) {
            let (phase, below) = (UndoPhase::Ending, Position::default());
            self.state_of(&mut draft).undo = Some(Box::new(Undo { phase, below, cause: None }));
            return draft.decision(Next::Wait(None));
        }
        self.undo_before(draft, Position::of_stage(self.run.stage() + 1))
    }

    /// All from `below` on is undone: goes on with what stands before, if there is something.
    fn undo_before(&self, mut draft: Draft, below: Position) -> Decision {
        let below = self.plan.undo_below(below);
        if below == Position::default() {
            return self.all_undone(draft);
        }
        let state = self.state_of(&mut draft);
        (state.crashes, state.stuck) = (0, None);
        state.undo = Some(Box::new(Undo { phase: UndoPhase::Undoing, below, cause: None }));
        draft.decision(Next::GoOn)
    }

    /// The run ends as it would have ended.
    fn all_undone(&self, mut draft: Draft) -> Decision {
        let state = self.state_of(&mut draft);
        let end = state.cause.as_ref().map_or(Status::Failed, Cause::ends_as);
        if let Some(undo) = &mut state.undo {
            (undo.phase, undo.below) = (UndoPhase::Undone, Position::default());
            if let Some(cause) = &mut state.cause {
                cause.text = bounded(&format!("{} ({UNDONE})", cause.text), MAX_REASON);
            }
        }
        self.ended(draft, end)
    }

    /// The chart's rows for a run that is undone.
    pub(super) fn undoing(&self, event: Event) -> Result<Decision, Refusal> {
        use UndoPhase::{Ending, Undoing};
        let (state, kind) = (&self.run.run.state, event.kind());
        let phase = state.undo_phase();
        Ok(match (phase, event) {
            (_, Event::Leave(why)) => self.leave(why),
            (_, Event::Pause { .. }) => self.pause(true),
            (_, Event::Resume { .. }) => self.pause(false),
            // It is too late for it: nothing changes.
            (_, Event::Cancel { message: Some(message), .. }) => self.undo_rest(taking(message)),
            (Some(Ending), Event::ChildEnded { position, child, status, reason, message }) => {
                self.ended_first(position, child, status, reason, taking(message))
            }
            (_, Event::ChildEnded { message, .. }) => self.undo_rest(taking(message)),
            (Some(Ending), Event::Settled) => self.ending(Draft::default()),
            (Some(Undoing), Event::Settled) => self.leave_window(Draft::default()),
            (Some(Undoing), Event::Answered(call, jitter)) => self.undo_answered(call, jitter),
            (Some(Undoing), Event::Crashed(position)) => self.undo_crashed(position),
            (..) => return Err(Refusal { status: state.status, event: kind, undo: phase, sealed: false }),
        })
    }

    /// A run that this one has started, and cancelled, has ended. However it did, this one ends for the reason that it has.
    fn ended_first(
        &self,
        position: Position,
        child: RunId,
        status: Status,
        reason: Option<Text>,
        mut draft: Draft,
    ) -> Decision {
        if let Some(mut record) = self.child(position, child) {
            let end = if status.is_terminal() { status } else { Status::Failed };
            record.error = reason.filter(|_| end != Status::Finished);
            self.end(&mut record, end);
            draft.records.push(self.write(record));
        }
        self.ending(draft)
    }

    /// Waits for the runs that this one has started, or begins with the undoing.
    fn ending(&self, draft: Draft) -> Decision {
        if self.here(&draft).any(StepRecord::is_open) {
            return draft.decision(Next::Wait(None));
        }
        self.undo_before(draft, Position::of_stage(self.run.stage() + 1))
    }

    fn undo_answered(&self, call: Answered, jitter: Jitter) -> Decision {
        let Answered { position, attempt, outcome, kept, .. } = call;
        let mut record = self.record(position);
        let mut undo = record.undo.take().unwrap_or_else(|| Box::new(Compensation::new(self.now)));
        let retry = self.step(position).map(|step| step.policy.retry).unwrap_or_default();
        match outcome {
            Outcome::Finished(_) => self.undo_ended(&mut undo, Status::Finished, None),
            Outcome::Pending(delay) => {
                let poll = self.step(position).map_or_else(Default::default, |step| step.policy.poll);
                undo.goes_on(Some(self.now + delay.unwrap_or(poll)), None);
            }
            Outcome::AwaitSignal { name, limit } => {
                undo.goes_on(limit.map(|limit| self.now + limit), Some(name));
            }
            Outcome::Errored { error, retry_after } => {
                undo.errors += 1;
                if retry.is_exhausted_by(undo.errors) {
                    self.undo_ended(&mut undo, Status::Failed, Some(error));
                } else {
                    let delay = retry_after.unwrap_or_else(|| retry.delay(undo.errors, jitter));
                    undo.try_again(attempt, error, self.now + delay);
                }
            }
            Outcome::Failed(_, text) => self.undo_ended(&mut undo, Status::Failed, Some(text)),
            Outcome::Cancelled(reason) => {
                let text = Text::from(format!("its undoing answered `cancel`: {reason}"));
                self.undo_ended(&mut undo, Status::Failed, Some(text));
            }
            Outcome::StartAgain => {
                let text = Text::from("its undoing answered `start_again`");
                self.undo_ended(&mut undo, Status::Failed, Some(text));
            }
            Outcome::Spawn { .. } => {
                let text = Text::from("its undoing answered with a run to start");
                self.undo_ended(&mut undo, Status::Failed, Some(text));
            }
            Outcome::Ticked { .. } => {
                let text = Text::from("its undoing answered with the ticks of a schedule");
                self.undo_ended(&mut undo, Status::Failed, Some(text));
            }
        }
        self.undo_decided(record, undo, &kept)
    }

    fn undo_crashed(&self, position: Position) -> Decision {
        let mut record = self.record(position);
        let mut undo = record.undo.take().unwrap_or_else(|| Box::new(Compensation::new(self.now)));
        let crashes = self.run.run.state.crashes;
        let text = format!(
            "{crashes} calls in a row were cut off: each time the process ended, or lost its lease, while this step was \
             being undone"
        );
        self.undo_ended(&mut undo, Status::Failed, Some(Text::from(text)));
        self.undo_decided(record, undo, &Kept::default())
    }

    fn undo_ended(&self, undo: &mut Compensation, status: Status, error: Option<Text>) {
        (undo.status, undo.error) = (status, error);
        (undo.due_at, undo.awaits, undo.ended_at) = (None, None, Some(self.now));
    }

    fn undo_decided(&self, mut record: StepRecord, mut undo: Box<Compensation>, kept: &Kept) -> Decision {
        record.metadata.extend(kept.step_metadata.clone());
        record.progress = kept.progress.or(record.progress);
        undo.state = kept.state.clone().or(undo.state);
        let position = record.position;
        record.undo = Some(undo);
        let mut draft = self.begun(kept);
        draft.records.push(self.write(record));
        let decision = self.undo_rest(draft);
        self.undo_later(position, decision)
    }

    /// What comes next, as the draft leaves what is being undone.
    fn undo_rest(&self, mut draft: Draft) -> Decision {
        if self.run.run.state.undo_phase() == Some(UndoPhase::Ending) {
            return self.ending(draft);
        }
        if !self.under_way.is_empty() {
            return draft.decision(Next::GoOn);
        }
        let next = self.plan.undone_next(self.here(&draft));
        if next.is_empty() || self.here(&draft).any(StepRecord::is_stuck) {
            return self.leave_window(draft);
        }
        let wakes = next.iter().filter_map(|record| self.undo_wakes(record, &draft.taken)).min();
        if wakes.is_some_and(|at| at <= self.now) {
            return draft.decision(Next::GoOn);
        }
        if self.run.run.state.crashes > 0 {
            self.state_of(&mut draft).crashes = 0;
        }
        draft.decision(Next::Wait(wakes))
    }

    /// However short the pause is that the undoing of a step asks for, the run is given back for it, if nothing else is to
    /// be done (see `later`).
    fn undo_later(&self, position: Position, decision: Decision) -> Decision {
        let is_due =
            |record: &&&StepRecord| self.undo_wakes(record, &decision.taken).is_some_and(|at| at <= self.now);
        let waits = decision.records.iter().map(RecordWrite::record).any(|record| {
            record.position == position && record.undo.as_ref().is_some_and(|undo| !undo.status.is_terminal())
        });
        let next = self.plan.undone_next(self.run.current());
        let is_alone = next.iter().filter(|record| record.position != position).find(is_due).is_none();
        let gives_back = waits && is_alone && self.under_way.is_empty() && decision.next == Next::GoOn;
        if gives_back { Decision { next: Next::Wait(Some(self.now)), ..decision } } else { decision }
    }

    /// Nothing of what was to be undone next is left: what stands before it follows. Or something of it can't be undone.
    fn leave_window(&self, draft: Draft) -> Decision {
        let stuck = self.here(&draft).find(|record| record.is_stuck()).cloned();
        if let Some(stuck) = stuck {
            return self.give_up_undoing(draft, &stuck);
        }
        let lowest = self.here(&draft).map(|record| record.position).min();
        self.undo_before(draft, lowest.unwrap_or_default())
    }

    /// A step could not be undone. Those before it are not tried: what it left may stand on them.
    fn give_up_undoing(&self, mut draft: Draft, stuck: &StepRecord) -> Decision {
        let why = stuck.undo.as_ref().and_then(|undo| undo.error.clone()).unwrap_or_default();
        let left = self.not_undone(&draft).join(", ");
        let first = self.state_of(&mut draft).cause.take();
        let of = first
            .as_ref()
            .map_or_else(String::new, |cause| format!("; it was undone because of: {}", cause.text));
        let text = bounded(&format!("it can't be undone: {why}; not undone: {left}{of}"), MAX_REASON);
        let cause = self.cause(stuck, CauseKind::Undo, text);
        let state = self.state_of(&mut draft);
        state.cause = Some(cause);
        if let Some(undo) = &mut state.undo {
            (undo.phase, undo.cause) = (UndoPhase::Stuck, first);
        }
        self.ended(draft, Status::Failed)
    }

    /// The names of what is not undone, the last first.
    fn not_undone(&self, draft: &Draft) -> Vec<String> {
        let mut left: Vec<&StepRecord> =
            self.here(draft).filter(|record| self.plan.is_to_be_undone(record)).collect();
        left.sort_by_key(|record| std::cmp::Reverse(record.position));
        let mut names: Vec<String> =
            left.iter().map(|record| format!("`{}`", self.name_of(record))).collect();
        let lowest = self.here(draft).map(|record| record.position).min().unwrap_or_default();
        if lowest.item > 0 {
            names.push(format!("those before item {} of `{}`", lowest.item, self.name(lowest)));
        }
        let before = self.plan.stages.iter().take(lowest.stage as usize).rev();
        let steps = before.flat_map(|stage| stage.steps().iter().rev()).filter(|step| step.undoes);
        names.extend(steps.map(|step| format!("`{}`", step.name)));
        names
    }

    /// The undoing goes on where it failed, as an operator wants it.
    pub(super) fn undo_again(&self, mut draft: Draft) -> Decision {
        let state = self.state_of(&mut draft);
        *state =
            RunState { status: Status::Pending, ended_at: None, crashes: 0, stuck: None, ..state.clone() };
        if let Some(undo) = &mut state.undo {
            undo.phase = UndoPhase::Undoing;
            state.cause = undo.cause.take();
        }
        for record in self.run.current().filter(|record| record.is_stuck()) {
            let state = record.undo.as_ref().and_then(|undo| undo.state.clone());
            let undo = Box::new(Compensation { state, ..Compensation::new(self.now) });
            draft.records.push(RecordWrite::Changed(StepRecord { undo: Some(undo), ..record.clone() }));
        }
        draft.decision(Next::Wait(Some(self.now)))
    }

    /// When the undoing of a step wants to be looked at; at once when it was not begun.
    fn undo_wakes(&self, record: &StepRecord, taken: &[MessageId]) -> Option<Timestamp> {
        undo_wakes(record, |name| waiting_signal(self.run, name, taken), self.now)
    }

    /// The record's name, and which item of its list it is for.
    pub(super) fn name_of(&self, record: &StepRecord) -> Text {
        self.plan.name_of(record)
    }
}

impl Plan {
    /// The record's name, and which item of its list it is for.
    pub(crate) fn name_of(&self, record: &StepRecord) -> Text {
        match self.stage(record.position.stage) {
            Some(StagePlan::Each(..)) => Text::from(format!("{}[{}]", record.name, record.position.item)),
            _ => record.name.clone(),
        }
    }
}

fn taking(message: MessageId) -> Draft {
    Draft { taken: vec![message], ..Draft::default() }
}

/// When the undoing of a step wants to be looked at, at `now`.
pub(super) fn undo_wakes(
    record: &StepRecord,
    is_there: impl Fn(&Text) -> bool,
    now: Timestamp,
) -> Option<Timestamp> {
    let Some(undo) = &record.undo else { return Some(now) };
    if undo.awaits.as_ref().is_some_and(is_there) { Some(now) } else { undo.due_at }
}

impl Compensation {
    /// It answered that it is not done: errors are counted anew.
    fn goes_on(&mut self, due_at: Option<Timestamp>, awaits: Option<Text>) {
        (self.status, self.attempt, self.errors, self.error) = (Status::Pending, 1, 0, None);
        (self.due_at, self.awaits) = (due_at, awaits);
    }

    fn try_again(&mut self, attempt: u32, error: Text, due_at: Timestamp) {
        (self.attempt, self.error) = (attempt.saturating_add(1), Some(error));
        (self.due_at, self.awaits) = (Some(due_at), None);
    }
}

impl Cause {
    /// How a run ends for this cause.
    #[must_use]
    pub fn ends_as(&self) -> Status {
        if self.kind == CauseKind::Cancelled { Status::Cancelled } else { Status::Failed }
    }
}
