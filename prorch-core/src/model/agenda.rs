use super::{
    Event, Mail, Message, MessageId, Plan, Position, Run, RunState, StepPlan, StepRecord, StoredRun, Text,
    Timestamp,
};

/// What is to be done with a run that a worker holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Agenda {
    /// Call the step of this record.
    Call(StepRecord),
    /// Let the state machine decide this; no call is needed.
    Decide(Event),
    /// Nothing before the given time, or before a message comes.
    Rest(Option<Timestamp>),
}

/// What is to be done with `run` at `now`: mail first, then what the run can't go on with, then the step.
#[must_use]
pub fn agenda(run: &StoredRun, plan: &Plan, crash_cap: u32, now: Timestamp) -> Agenda {
    if let Some(event) = control(run) {
        return Agenda::Decide(event);
    }
    let (record, step) = match at(run, plan) {
        Ok(found) => found,
        Err(misfit) => return Agenda::Decide(Event::Leave(misfit)),
    };
    if run.run.state.crashes > Run::SUSPECT_AFTER && run.run.state.crashes >= crash_cap {
        return Agenda::Decide(Event::Crashed(record.position));
    }
    if deadline(&record, step).is_some_and(|deadline| deadline <= now) {
        return Agenda::Decide(Event::Expired(record.position));
    }
    let signalled = record.awaits.as_ref().is_some_and(|name| waiting_signal(run, name, &[]));
    if signalled || record.due_at.is_some_and(|due| due <= now) {
        return Agenda::Call(record);
    }
    Agenda::Rest(wake_at(&record, step))
}

/// What the messages say that are about the run and not about its step: a cancel, or else what was said last.
fn control(run: &StoredRun) -> Option<Event> {
    run.waiting_cancel().or_else(|| run.untaken().filter_map(control_event).last())
}

fn control_event(message: &Message) -> Option<Event> {
    let id = Some(message.id);
    match &message.mail {
        Mail::Cancel { reason } => Some(Event::Cancel { reason: reason.clone(), message: id }),
        Mail::Pause => Some(Event::Pause { message: id }),
        Mail::Resume => Some(Event::Resume { message: id }),
        Mail::Signal { .. } => None,
    }
}

impl StoredRun {
    /// The cancel that waits in the inbox, if there is one.
    #[must_use]
    pub fn waiting_cancel(&self) -> Option<Event> {
        let cancel = self.untaken().find(|message| matches!(message.mail, Mail::Cancel { .. }));
        cancel.and_then(control_event)
    }

    /// Up to where a decision that took `taken` has done with the inbox: a message about the run that it leaves there
    /// counts as not seen, so that the run is due at once for it; but for the pause that a `paused` run keeps there.
    pub(super) fn seen(&self, taken: &[MessageId], next: &RunState) -> u64 {
        let is_kept = |message: &Message| next.paused && message.mail == Mail::Pause;
        let left = self.untaken().filter(|message| !taken.contains(&message.id) && !is_kept(message));
        let first = left.filter(|message| control_event(message).is_some()).map(|message| message.seq).min();
        first.map_or(self.run.inbox_seq, |seq| seq.saturating_sub(1))
    }
}

/// The record that the run is at and its step, or why the two don't fit.
fn at<'a>(run: &StoredRun, plan: &'a Plan) -> Result<(StepRecord, &'a StepPlan), Text> {
    let record = match run.current() {
        Some(record) => record.clone(),
        None => first_record(run, plan).ok_or_else(|| Text::from("the pipeline has no steps"))?,
    };
    let step = plan.step(record.position).ok_or_else(|| {
        Text::from(format!("the pipeline has no step at {}, where the run stands", record.position))
    })?;
    if step.name != record.name {
        let text =
            format!("the run stands at step `{}`, where the pipeline has `{}`", record.name, step.name);
        return Err(Text::from(text));
    }
    if !record.is_open() {
        let text = format!(
            "the run is {}, but its last step `{}` is {}",
            run.run.status(),
            record.name,
            record.status
        );
        return Err(Text::from(text));
    }
    Ok((record, step))
}

/// The record of the first step, which is stored only when there is something to say in it: its first outcome, or its
/// progress. None for a pipeline without steps.
#[must_use]
pub fn first_record(run: &StoredRun, plan: &Plan) -> Option<StepRecord> {
    let first = Position::default();
    let entered = run.run.state.started_at.unwrap_or(run.run.created_at);
    plan.step(first).map(|step| StepRecord::new(first, step.name.clone(), entered))
}

/// When the step's deadline passes.
pub(super) fn deadline(record: &StepRecord, step: &StepPlan) -> Option<Timestamp> {
    step.policy.deadline.map(|longest| record.entered_at + longest)
}

/// When the record wants to be looked at next: when it is due, at the latest at its deadline.
pub(super) fn wake_at(record: &StepRecord, step: &StepPlan) -> Option<Timestamp> {
    match (record.due_at, deadline(record, step)) {
        (Some(due), Some(deadline)) => Some(due.min(deadline)),
        (due, deadline) => due.or(deadline),
    }
}

/// Whether a signal with this name is in the inbox, those in `but` left out.
pub(super) fn waiting_signal(run: &StoredRun, name: &Text, but: &[MessageId]) -> bool {
    run.untaken()
        .filter(|message| !but.contains(&message.id))
        .any(|message| matches!(&message.mail, Mail::Signal { name: other, .. } if other == name))
}
