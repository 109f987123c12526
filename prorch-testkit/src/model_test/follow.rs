//! A run by its records: whether each is as the step's script has it, given what went before and the signals that it
//! heard, and whether the run may stand as it does. Which of several steps side by side hears a signal, chance decides; all
//! else follows from that.

use prorch_core::model::{CauseKind, Mail, Status, StepRecord};
use prorch_core::repository::{Repository, RunId, StoredRun};

use super::journal::is_by_cap;
use super::oracle::{Heard, Told};
use super::script::{Name, Script, Then};
use super::shapes::{Form, LISTS, Node, Shape};
use super::step::{Done, Handed, NAMES};
use super::world::World;

/// A run that is at rest.
pub(super) struct Follow<'a, R> {
    pub(super) world: &'a World<R>,
    pub(super) run: RunId,
    pub(super) told: &'a Told,
    pub(super) stored: &'a StoredRun,
}

/// A member of the stage that a run is at.
struct Member<'a> {
    node: Node,
    given: Handed,
    record: &'a StepRecord,
}

type Is = Result<(), String>;

/// Whether nothing more happens to a run by itself.
pub(super) fn is_at_rest(stored: &StoredRun) -> bool {
    let run = &stored.run;
    let waits = run.state.paused || run.due_at.is_none();
    run.status().is_terminal() || run.lease.is_none() && waits
}

impl<R: Repository> Follow<'_, R> {
    /// Goes through the run's stages, and looks how it stands in the last.
    pub(super) fn check(&self) -> Is {
        let mut given: Handed = read(&self.stored.run.input)?;
        ensure(given == self.told.input, "it was started with something else")?;
        for (number, form) in (0..).zip(self.told.shape.forms()) {
            let expected = form.members(&given);
            let here = self.stored.records.range(..).filter(|(at, _)| at.stage == number);
            let mut members = Vec::new();
            for (at, record) in here {
                let (node, given) = expected.get(at.item as usize).ok_or("a record is of no member")?.clone();
                members.push(Member { node, given, record });
            }
            let outputs: Vec<Option<Handed>> =
                members.iter().map(|member| self.member(member)).collect::<Result<_, _>>()?;
            let done: Vec<Handed> = outputs.into_iter().flatten().collect();
            if done.len() < expected.len() {
                let later = self.stored.records.keys().any(|at| at.stage > number);
                ensure(!later, "it came to a stage before the one before was done")?;
                return self.stands(*form, &members, expected.len());
            }
            given = form.hands_on(done);
        }
        let state = &self.stored.run.state;
        ensure(state.status == Status::Finished, "all its stages are done, and it is not finished")?;
        match (&state.output, self.told.shape.forms().last()) {
            (Some(output), _) => ensure(read::<Handed>(output)? == given, "it hands on something else"),
            // What a run at its end handed on is that run's own, and not stored again.
            (None, Some(Form::One(Node::Run(_)))) => Ok(()),
            (None, _) => Err("it hands on nothing".into()),
        }
    }

    /// What a member hands on, if it has finished.
    fn member(&self, member: &Member<'_>) -> Result<Option<Handed>, String> {
        let (record, is_done) = (member.record, member.record.status == Status::Finished);
        match member.node {
            Node::Run(shape) if is_done => self.output_of_child(member, shape).map(Some),
            Node::Run(_) => Ok(None),
            Node::Step(step) => {
                ensure(record.name == *NAMES[step], "a record has the name of another step")?;
                let done = done(record)?;
                let script = Script::of(member.given.seed, step);
                has_heard(&script, &done)?;
                if !is_done {
                    return Ok(None);
                }
                ensure(done.calls.len() == script.phases.len(), "a step finished before its end")?;
                let output = record.output.as_deref().ok_or("a step that finished hands on nothing")?;
                let handed = member.given.after(step, &done.heard);
                let is_right = if step == LISTS {
                    read::<Vec<Handed>>(output)? == handed.items()
                } else {
                    read::<Handed>(output)? == handed
                };
                ensure(is_right, "a step hands on something else")?;
                Ok(Some(handed))
            }
        }
    }

    fn output_of_child(&self, member: &Member<'_>, shape: Shape) -> Result<Handed, String> {
        let child = self.child(member.record).ok_or("a record that finished has no run")?;
        ensure(child.run.definition.pipeline == *shape.name(), "a run of another pipeline was started")?;
        ensure(child.run.status() == Status::Finished, "a record finished, and its run did not")?;
        ensure(read::<Handed>(&child.run.input)? == member.given, "a run was started with something else")?;
        read(child.run.state.output.as_deref().ok_or("a run that finished hands on nothing")?)
    }

    fn child(&self, record: &StepRecord) -> Option<StoredRun> {
        record.child.map(|child| self.world.store.whole(child.run))
    }

    /// How the run stands in a stage that is not done.
    fn stands(&self, form: Form, members: &[Member<'_>], width: usize) -> Is {
        let state = &self.stored.run.state;
        let is_open = !state.status.is_terminal();
        let open: Vec<&Member<'_>> = members.iter().filter(|member| member.record.is_open()).collect();
        ensure(is_open || open.is_empty(), "it has ended, and a record of it is open")?;
        match (self.told.cancel, state.cause.as_ref()) {
            (Heard::Yes, Some(cause)) if cause.step.is_none() && state.status == Status::Cancelled => Ok(()),
            (Heard::Yes, _) => Err("it was cancelled".into()),
            (Heard::No, Some(cause)) if cause.step.is_none() => Err("nobody cancelled it".into()),
            _ if state.status == Status::Failed => self.has_failed(members),
            _ if state.status == Status::Cancelled => self.was_cancelled(members),
            _ if state.status == Status::Finished => Err("it has finished, and a stage of it has not".into()),
            _ if state.paused => ensure(self.told.pause != Heard::No, "nobody paused it"),
            _ if self.told.pause == Heard::Yes => Err("it was paused".into()),
            _ => {
                ensure(!self.stored.is_broken(), "a step of it ended badly, and it goes on")?;
                let finished = members.len() - open.len();
                let most = form.side_by_side().min(width - finished);
                ensure(open.len() == most, "not all steps are begun that there is room for")?;
                open.into_iter().try_for_each(|member| self.waits(member))
            }
        }
    }

    /// A member that nothing more happens to.
    fn waits(&self, member: &Member<'_>) -> Is {
        match member.node {
            Node::Run(_) => {
                let child = self.child(member.record).ok_or("a run was not started")?;
                ensure(!child.run.status().is_terminal(), "it did not hear of the end of a run")
            }
            Node::Step(step) => {
                let awaited = Script::of(member.given.seed, step).awaited(done(member.record)?.calls.len());
                let Some((name, None)) = awaited else {
                    return Err("a step is left that waits for nothing".into());
                };
                let is_named = member.record.awaits.as_deref() == Some(name.as_str());
                ensure(is_named, "a step waits for another signal than it said")?;
                ensure(!self.has_signal(name), "a step waits for a signal that is there")
            }
        }
    }

    fn has_signal(&self, name: Name) -> bool {
        let is_it =
            |mail: &Mail| matches!(mail, Mail::Signal { name: other, .. } if *other == *name.as_str());
        self.stored.inbox.iter().any(|message| is_it(&message.mail))
    }

    fn has_failed(&self, members: &[Member<'_>]) -> Is {
        let cause = self.stored.run.state.cause.as_ref().ok_or("it failed without a cause")?;
        if is_by_cap(cause.kind) {
            return Ok(());
        }
        let is_it = |member: &&Member<'_>| {
            member.record.status == Status::Failed && cause.step.as_ref() == Some(&label(member.record, self))
        };
        let member = members.iter().find(is_it).ok_or("it failed by a step that did not")?;
        match (member.node, member.record.child, cause.kind) {
            (Node::Step(step), None, CauseKind::Error) => {
                let (phase, _) = phase(member, step)?;
                ensure(
                    matches!(phase, Then::Fail | Then::Err) && !self.is_mended(),
                    "a step failed that can be done",
                )
            }
            (Node::Run(_), Some(child), CauseKind::Child) => {
                ensure(
                    cause.text.contains(&child.run.to_string()),
                    "its cause does not name the run that failed",
                )?;
                self.came_to(child.run, Status::Failed)
            }
            _ => Err("it failed by a cause of another kind".into()),
        }
    }

    fn was_cancelled(&self, members: &[Member<'_>]) -> Is {
        let cause = self.stored.run.state.cause.as_ref().ok_or("it was cancelled without a cause")?;
        let Some(step) = &cause.step else { return Ok(()) };
        let is_it = |member: &&Member<'_>| label(member.record, self) == *step;
        let member = members.iter().find(is_it).ok_or("it was cancelled by a step that it has not")?;
        match (member.node, member.record.child) {
            (Node::Step(step), _) => {
                let (_, before) = phase(member, step)?;
                ensure(before == Some(Then::Cancel), "a step did not say that it should end")
            }
            (Node::Run(_), Some(child)) => self.came_to(child.run, Status::Cancelled),
            (Node::Run(_), None) => Err("it was cancelled by a run that was not started".into()),
        }
    }

    fn came_to(&self, child: RunId, end: Status) -> Is {
        let has = self.world.scene.journal(|journal| journal.lives[&child].ends.contains(&end));
        ensure(has, "a run did not end as its parent says")
    }

    /// What was in the way of its steps was mended, and then it was let try again.
    fn is_mended(&self) -> bool {
        let may_reopen = || self.world.scene.journal(|journal| journal.lives[&self.run].may_reopen);
        self.world.scene.is_mended(self.run) && !may_reopen()
    }
}

/// What of the step was committed.
fn done(record: &StepRecord) -> Result<Done, String> {
    record.state.as_deref().map_or_else(|| Ok(Done::default()), read)
}

/// The answer that a step would give next, and the one that it gave last.
fn phase(member: &Member<'_>, step: usize) -> Result<(Then, Option<Then>), String> {
    let (script, calls) = (Script::of(member.given.seed, step), done(member.record)?.calls.len());
    let then = |at: usize| script.phases.get(at).map(|phase| phase.then);
    Ok((then(calls).unwrap_or(Then::Finish), calls.checked_sub(1).and_then(then)))
}

/// Each wait of the calls that were committed was answered: by a signal, or in vain where it had a limit.
fn has_heard(script: &Script, done: &Done) -> Is {
    let waits: Vec<_> = (0..done.calls.len()).filter_map(|call| script.awaited(call)).collect();
    let fits = |((_, limit), heard): (&(Name, Option<_>), &Option<u64>)| heard.is_some() || limit.is_some();
    let is_right = waits.len() == done.heard.len() && waits.iter().zip(&done.heard).all(fits);
    ensure(is_right, "a step has heard what it did not wait for, or not heard what it did")
}

/// What a cause calls a record.
fn label<R>(record: &StepRecord, follow: &Follow<'_, R>) -> prorch_core::repository::Text {
    match follow.told.shape.forms().get(record.position.stage as usize) {
        Some(Form::Each(..)) => format!("{}[{}]", record.name, record.position.item).into(),
        _ => record.name.clone(),
    }
}

fn ensure(is_right: bool, else_why: &str) -> Is {
    if is_right { Ok(()) } else { Err(else_why.to_owned()) }
}

fn read<T: serde::de::DeserializeOwned>(stored: &str) -> Result<T, String> {
    serde_json::from_str(stored).map_err(|error| format!("{stored} can't be read: {error}"))
}
