use std::collections::BTreeSet;

use super::{
    Event, Mail, Message, MessageId, Plan, Position, Run, RunState, StagePlan, Status, StepPlan, StepRecord,
    StoredRun, Text, Timestamp,
};

/// What is to be done with a run that a worker holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Agenda {
    /// Let the state machine decide this; no call is needed.
    Decide(Event),
    /// Look how long the list is that the stage takes, and let the state machine decide that it is
    /// [opened](Event::Opened).
    Open,
    /// Call the steps of these records.
    Call(Vec<StepRecord>),
    /// Nothing before a call that is under way comes back.
    Await,
    /// Nothing before the given time, or before a message comes.
    Rest(Option<Timestamp>),
}

/// What is to be done with `run` at `now`, while the records at `under_way` are being called: mail first, then what the
/// run can't go on with, then its steps.
#[must_use]
pub fn agenda(
    run: &StoredRun,
    plan: &Plan,
    crash_cap: u32,
    under_way: &[Position],
    now: Timestamp,
) -> Agenda {
    let looked = Look { run, plan, crash_cap, under_way, now }.look();
    match looked {
        Ok(agenda) => agenda,
        Err(_) if !under_way.is_empty() => Agenda::Await,
        Err(misfit) => Agenda::Decide(Event::Leave(misfit)),
    }
}

pub(super) struct Look<'a> {
    pub(super) run: &'a StoredRun,
    pub(super) plan: &'a Plan,
    pub(super) crash_cap: u32,
    pub(super) under_way: &'a [Position],
    pub(super) now: Timestamp,
}

impl Look<'_> {
    fn look(&self) -> Result<Agenda, Text> {
        if let Some(agenda) = self.mail() {
            return Ok(agenda);
        }
        if let Some(agenda) = self.undo()? {
            return Ok(agenda);
        }
        let stage = self.stage()?;
        if self.run.run.state.fan.is_none() {
            return match stage {
                StagePlan::One(step) => Ok(self.members(&[(self.only(step)?, step)])),
                StagePlan::Group(_) | StagePlan::Each(..) => Ok(Agenda::Decide(Event::Begun)),
            };
        }
        if self.run.is_broken() {
            return Ok(self.alone(Agenda::Decide(Event::Settled)));
        }
        if self.run.run.state.fan.is_some_and(|fan| fan.width.is_none()) {
            return Ok(Agenda::Open);
        }
        let open = self.open(stage)?;
        Ok(self.members(&open))
    }

    /// This, when no call is under way; else that is waited for.
    pub(super) fn alone(&self, agenda: Agenda) -> Agenda {
        if self.under_way.is_empty() { agenda } else { Agenda::Await }
    }

    /// What the messages say that are about the run and not about one of its steps: a cancel and the end of a child in
    /// the order of their coming, or else what was said last of pausing and resuming.
    fn mail(&self) -> Option<Agenda> {
        let said = || self.run.untaken().filter_map(control_event);
        let is_switch = |event: &Event| matches!(event, Event::Pause { .. } | Event::Resume { .. });
        let event = said().find(|event| !is_switch(event)).or_else(|| said().last())?;
        let needs_no_quiet = matches!(event, Event::ChildEnded { .. });
        Some(if needs_no_quiet { Agenda::Decide(event) } else { self.alone(Agenda::Decide(event)) })
    }

    pub(super) fn stage(&self) -> Result<&StagePlan, Text> {
        let stage = self.run.stage();
        self.plan.stage(stage).ok_or_else(|| match self.run.records.last_key_value() {
            _ if self.plan.stages.is_empty() => Text::from("the pipeline has no steps"),
            Some((position, _)) if position.stage == stage => no_step(*position),
            _ => no_step(Position::of_stage(stage)),
        })
    }

    /// The record of a stage of one step.
    fn only(&self, step: &StepPlan) -> Result<StepRecord, Text> {
        let mut here = self.run.current();
        let record = match (here.next(), here.next()) {
            (None, _) => first_record(self.run, self.plan).ok_or("the pipeline has no steps"),
            (Some(record), None) => Ok(record.clone()),
            (Some(_), Some(more)) => return Err(no_step(more.position)),
        }?;
        self.fits(&record, step)?;
        if !record.is_open() {
            let text = format!(
                "the run is {}, but its last step `{}` is {}",
                self.run.run.status(),
                record.name,
                record.status
            );
            return Err(Text::from(text));
        }
        Ok(record)
    }

    /// The open records of a stage with more than one member, with their steps.
    fn open<'s>(&self, stage: &'s StagePlan) -> Result<Vec<(StepRecord, &'s StepPlan)>, Text> {
        let open = self.run.current().filter(|record| record.is_open());
        let open = open.map(|record| {
            let step = stage.member(record.position.item).ok_or_else(|| no_step(record.position))?;
            self.fits(record, step)?;
            Ok((record.clone(), step))
        });
        let open = open.collect::<Result<Vec<_>, Text>>()?;
        if open.is_empty() {
            return Err(Text::from("the run is not at its end, and no step of its stage is open"));
        }
        Ok(open)
    }

    pub(super) fn fits(&self, record: &StepRecord, step: &StepPlan) -> Result<(), Text> {
        let at_home = self.plan.step(record.position).is_some();
        if !at_home {
            return Err(no_step(record.position));
        }
        if step.name != record.name {
            let text =
                format!("the run stands at step `{}`, where the pipeline has `{}`", record.name, step.name);
            return Err(Text::from(text));
        }
        Ok(())
    }

    /// What is to be done with the open records of the stage.
    fn members(&self, open: &[(StepRecord, &StepPlan)]) -> Agenda {
        let under_way: BTreeSet<&Position> = self.under_way.iter().collect();
        let idle = || open.iter().filter(|(record, _)| !under_way.contains(&record.position));
        let mut due: Vec<&StepRecord> =
            idle().map(|(record, _)| record).filter(|record| self.is_due(record)).collect();
        let crashes = self.run.run.state.crashes;
        let is_suspect = crashes >= Run::SUSPECT_AFTER;
        if is_suspect {
            // What was not called since a crash is the likelier culprit: every other call moves its record's time.
            due.sort_by_key(|record| record.due_at);
        }
        if crashes > Run::SUSPECT_AFTER && crashes >= self.crash_cap && self.under_way.is_empty() {
            let culprit = due.first().copied().or_else(|| open.first().map(|(record, _)| record));
            if let Some(culprit) = culprit {
                return Agenda::Decide(Event::Crashed(culprit.position));
            }
        }
        let mut deadlines = idle().filter(|(record, step)| self.is_expired(record, step));
        if let Some((record, _)) = deadlines.next() {
            return Agenda::Decide(Event::Expired(record.position));
        }
        if is_suspect {
            due.truncate(usize::from(self.under_way.is_empty()));
        }
        let intended: Vec<Position> =
            due.iter().filter(|record| self.wants_intent(record)).map(|record| record.position).collect();
        if !intended.is_empty() {
            return Agenda::Decide(Event::Intended(intended));
        }
        if !due.is_empty() {
            return Agenda::Call(due.into_iter().cloned().collect());
        }
        let wakes = open.iter().filter_map(|(record, step)| wake_at(record, step));
        self.alone(Agenda::Rest(wakes.min()))
    }

    fn is_due(&self, record: &StepRecord) -> bool {
        let is_signalled = || record.awaits.as_ref().is_some_and(|name| waiting_signal(self.run, name, &[]));
        record.due_at.is_some_and(|due| due <= self.now) || is_signalled()
    }

    fn is_expired(&self, record: &StepRecord, step: &StepPlan) -> bool {
        deadline(record, step).is_some_and(|deadline| deadline <= self.now)
    }
}

fn no_step(position: Position) -> Text {
    Text::from(format!("the pipeline has no step at {position}, where the run stands"))
}

fn control_event(message: &Message) -> Option<Event> {
    let id = Some(message.id);
    match &message.mail {
        Mail::Cancel { reason } => Some(Event::Cancel { reason: reason.clone(), message: id }),
        Mail::Pause => Some(Event::Pause { message: id }),
        Mail::Resume => Some(Event::Resume { message: id }),
        Mail::Ended { position, child, status, reason } => Some(Event::ChildEnded {
            position: *position,
            child: *child,
            status: *status,
            reason: reason.clone(),
            message: message.id,
        }),
        Mail::Signal { .. } => None,
    }
}

impl StoredRun {
    /// The cancel that waits in the inbox, if there is one that can still do something: to a run that is being undone it
    /// says nothing.
    #[must_use]
    pub fn waiting_cancel(&self) -> Option<Event> {
        if self.run.state.is_undoing() {
            return None;
        }
        let cancel = self.untaken().find(|message| matches!(message.mail, Mail::Cancel { .. }));
        cancel.and_then(control_event)
    }

    /// Up to where a decision that took `taken` has done with the inbox: a message about the run that it leaves there
    /// counts as not seen, so that the run is due at once for it; but for the pause that a run which is paused in its
    /// `next` state keeps there.
    pub(super) fn seen(&self, taken: &[MessageId], next: &RunState) -> u64 {
        let is_kept = |message: &Message| next.paused && message.mail == Mail::Pause;
        let left = self.untaken().filter(|message| !taken.contains(&message.id) && !is_kept(message));
        let first = left.filter(|message| control_event(message).is_some()).map(|message| message.seq).min();
        first.map_or(self.run.inbox_seq, |seq| seq.saturating_sub(1))
    }

    /// Whether a step of the stage that the run is at ended without having finished.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.current().any(|record| matches!(record.status, Status::Failed | Status::Cancelled))
    }
}

/// The record of a first step that stands alone, which is stored only when there is something to say in it: its first
/// outcome, or its progress. None for a pipeline that begins otherwise.
#[must_use]
pub fn first_record(run: &StoredRun, plan: &Plan) -> Option<StepRecord> {
    let first = Position::default();
    let entered = run.run.state.started_at.unwrap_or(run.run.created_at);
    match plan.stage(first.stage) {
        Some(StagePlan::One(step)) => Some(StepRecord::new(first, step.name.clone(), entered)),
        _ => None,
    }
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
