//! A new run that takes over what another one has finished.

use super::transition::{Draft, Facts};
use super::{
    NewRun, Origin, Plan, Position, RecordWrite, RunId, Status, StepRecord, StoredRun, Text, Timestamp,
};

/// The most records that a new run takes over.
pub const MAX_TAKEN_RECORDS: usize = 100_000;
/// The most bytes of states and outputs, as JSON, that a new run takes over.
pub const MAX_TAKEN_BYTES: usize = 64 << 20;

/// Why a run can't be restarted from a step. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoRestart {
    /// The run has not ended: two runs would work on the same thing.
    #[error("it is {0} and may still go on: wait for its end, or cancel it first")]
    Open(Status),

    /// It is being removed, and part of it may be gone.
    #[error("it is being removed")]
    Sealed,

    /// No orchestrator here knows what it executes.
    #[error(
        "its pipeline `{0}` is unknown here: write `.pipeline::<MyPipeline>()` where the orchestrator is built"
    )]
    Unknown(Text),

    /// It is a schedule, which a restart would make twice.
    #[error("it is a schedule: make it again under its name, by `orchestrator.schedule::<MyPipeline>(…)`")]
    Schedule,

    /// The run was started with another list of steps than the code has here, by which that can't go on from the step.
    #[error("{0}")]
    Differs(Text),

    /// Its pipeline has no step with this name.
    #[error("its pipeline has no step `{step}`, only {}", listed(.steps))]
    NoStep {
        /// The name that was given.
        step: Text,
        /// Those that there are.
        steps: Vec<Text>,
    },

    /// A step that stands before has not finished, so that there is nothing to take over from it.
    #[error(
        "step `{unfinished}`, which stands before `{step}`, has not finished: restart from `{unfinished}` or one before \
         it, or retry the run if it has failed"
    )]
    NotFinished {
        /// The step to restart from.
        step: Text,
        /// The one before it.
        unfinished: Text,
    },

    /// What stands before the step was undone.
    #[error(
        "what its steps had done is undone, or was to be: restart it from its first step, and not from `{0}`"
    )]
    Undone(Text),

    /// More stands before the step than one write takes.
    #[error(
        "more than {MAX_TAKEN_RECORDS} records, or {mib} MiB of states and outputs, stand before step `{0}`: restart from \
         an earlier step",
        mib = MAX_TAKEN_BYTES >> 20
    )]
    TooMuch(Text),
}

fn listed(steps: &[Text]) -> String {
    let quoted: Vec<String> = steps.iter().map(|step| format!("`{step}`")).collect();
    quoted.join(", ")
}

/// A new run that is put together from what another one has finished.
#[derive(Clone, Debug)]
pub struct Restart<'a> {
    plan: &'a Plan,
    step: Text,
    /// The stage that the new run begins at.
    stage: u32,
    new: NewRun,
    bytes: usize,
}

impl<'a> Restart<'a> {
    /// The new run `id` as `old` (with [`Part::Work`](super::Part::Work)) leaves it: the same input, priority and
    /// metadata, and none of the records yet. It begins at the stage of `step`, or at the first one.
    ///
    /// # Errors
    ///
    /// [`NoRestart`] when `old` has not ended, or has not come to that stage.
    pub fn of(
        old: &StoredRun,
        plan: &'a Plan,
        step: Option<&str>,
        id: RunId,
        now: Timestamp,
    ) -> Result<Self, NoRestart> {
        let run = &old.run;
        if !run.status().is_terminal() {
            return Err(NoRestart::Open(run.status()));
        }
        if run.sealed {
            return Err(NoRestart::Sealed);
        }
        let (step, stage) = begin_at(plan, step)?;
        if stage > 0 && run.state.undo.is_some() {
            return Err(NoRestart::Undone(step));
        }
        if stage > old.stage() {
            return Err(NoRestart::NotFinished { step, unfinished: unfinished(old, plan) });
        }
        let new = NewRun {
            priority: run.priority,
            metadata: run.state.metadata.clone(),
            origin: Some(Origin { run: run.id, step: step.clone() }),
            ..NewRun::new(id, plan.definition.clone(), run.input.clone(), now)
        };
        Ok(Self { plan, step, stage, new, bytes: 0 })
    }

    /// The stage that the new run begins at.
    #[must_use]
    pub const fn stage(&self) -> u32 {
        self.stage
    }

    /// Takes over the next records of the old run, in order, as far as they stand before the step. Says from which
    /// position on there may be more; none when all are there.
    ///
    /// # Errors
    ///
    /// [`NoRestart`] when they are too many, or one has not finished.
    pub fn take(
        &mut self,
        records: impl IntoIterator<Item = StepRecord>,
    ) -> Result<Option<Position>, NoRestart> {
        let mut next = None;
        for record in records {
            if record.position.stage >= self.stage {
                return Ok(None);
            }
            next = Some(Position { item: record.position.item.saturating_add(1), ..record.position });
            self.take_one(record)?;
        }
        Ok(next)
    }

    fn take_one(&mut self, record: StepRecord) -> Result<(), NoRestart> {
        if record.status != Status::Finished {
            return Err(NoRestart::NotFinished { step: self.step.clone(), unfinished: record.name });
        }
        self.bytes += record.payload_bytes();
        if self.new.records.len() == MAX_TAKEN_RECORDS || self.bytes > MAX_TAKEN_BYTES {
            return Err(NoRestart::TooMuch(self.step.clone()));
        }
        self.new.records.push(record);
        Ok(())
    }

    /// The new run, to be stored, once `change` has said what is to be different from the old one. It stands at its
    /// step as a run that has just come there.
    #[must_use]
    pub fn into_new(self, change: impl FnOnce(NewRun) -> NewRun) -> NewRun {
        let mut new = change(self.new);
        new.starts = self.plan.starts(self.stage).cloned();
        if self.stage == 0 {
            return new;
        }
        let taken = std::mem::take(&mut new.records);
        let run = StoredRun::new(new.clone());
        let facts = Facts { run: &run, plan: self.plan, under_way: &[], now: new.due_at };
        let entered = facts.enter(Draft::default(), self.stage);
        new.fan = entered.state.and_then(|state| state.fan);
        new.records = taken;
        new.records.extend(entered.records.into_iter().map(RecordWrite::into_record));
        new
    }
}

/// The name and the stage of a step that is named, or of the first one.
fn begin_at(plan: &Plan, step: Option<&str>) -> Result<(Text, u32), NoRestart> {
    let steps = || plan.stages.iter().flat_map(|stage| stage.steps()).map(|step| step.name.clone());
    match step {
        None => Ok((steps().next().unwrap_or_default(), 0)),
        Some(name) => match plan.position(name) {
            Some(position) => Ok((Text::from(name), position.stage)),
            None => Err(NoRestart::NoStep { step: Text::from(name), steps: steps().collect() }),
        },
    }
}

/// The step that an old run did not come past.
fn unfinished(old: &StoredRun, plan: &Plan) -> Text {
    let open = old.current().find(|record| record.status != Status::Finished);
    open.map_or_else(
        || plan.step(Position::of_stage(old.stage())).map_or_else(Text::default, |step| step.name.clone()),
        |record| record.name.clone(),
    )
}
