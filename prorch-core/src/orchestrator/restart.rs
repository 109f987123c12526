use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use super::start::save;
use super::wishes::Wishes;
use crate::engine::Shared;
use crate::error::Error;
use crate::model::{
    self, Definition, NewRun, NoRestart, Part, Position, RunId, ScheduleState, StoredRun, Text, Timestamp,
};
use crate::registry::{Judgement, Known};
use crate::repository::{BoxFuture, ask};

/// How many records are read at a time.
const PAGE: usize = 256;

/// A run that is about to be restarted. That is done when this is awaited.
///
/// The new run takes over input, priority, metadata and the records of all steps before the one that it begins at, with
/// their outputs: what has finished is not done again. From that step on it is a run like any other, and its steps have
/// idempotency keys of their own. A step that stands in a group begins with its whole group, an `each` with its first item. A run
/// that was started by another one is restarted alone: nobody waits for the new one.
///
/// At most [`MAX_TAKEN_RECORDS`](model::MAX_TAKEN_RECORDS) records and [`MAX_TAKEN_BYTES`](model::MAX_TAKEN_BYTES) of
/// states and outputs are taken over. All of it is stored in one write, together with the new run.
///
/// Asked again by itself after an answer that got lost, it makes one run. Whoever calls it a second time makes another one, unless
/// both have one [`key`](Self::key).
///
/// # Errors
///
/// [`Error::NotFound`]; [`Error::NotRestarted`] when the run has not ended, its pipeline is unknown here, the code that is
/// here can't go on from that step by the list that the run was started with, or a step before has not finished;
/// [`Error::Store`].
#[must_use = "the run is restarted when this is awaited"]
pub struct Restart {
    shared: Arc<Shared>,
    old: RunId,
    step: Option<Text>,
    wishes: Wishes,
}

/// The new run of a [`Restart`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restarted {
    id: RunId,
    is_new: bool,
}

impl Restarted {
    /// Its id. For a typed handle ask [`Orchestrator::handle`](super::Orchestrator::handle).
    #[must_use]
    pub const fn id(&self) -> RunId {
        self.id
    }

    /// Whether it was started by this call, rather than found under its key.
    #[must_use]
    pub const fn is_new(&self) -> bool {
        self.is_new
    }
}

impl Restart {
    pub(super) fn new(shared: Arc<Shared>, old: RunId) -> Self {
        Self { shared, old, step: None, wishes: Wishes::default() }
    }

    /// From the step with this name, as its records have it: `Transfer`, or `Transfer#2` for the second of that name.
    pub fn from(mut self, step: impl Into<String>) -> Self {
        self.step = Some(Text::from(step.into()));
        self
    }

    /// At most one run of the pipeline has this key: where one is there already, no other is started
    /// ([`Restarted::is_new`] says so). The old run's key stays with the old run. At most 256 bytes.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.wishes.key = Some(Text::from(key.into()));
        self
    }

    /// Not before this time has passed.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.wishes.delay = delay;
        self
    }

    /// Pins a value to the new run under a name, beside what was pinned to the old one or in its place.
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<serde_json::Value>) -> Self {
        self.wishes.metadata.insert(name.into(), value.into());
        self
    }

    /// 0 (most urgent) to 9; else it is that of the old run.
    pub fn priority(mut self, priority: u8) -> Self {
        self.wishes.priority = Some(priority);
        self
    }

    async fn save(self) -> Result<Restarted, Error> {
        let shared = self.shared.clone();
        let now = shared.time.now();
        let id = RunId::from_uuid(shared.new_id(now));
        let new = self.gather(id, now).await?;
        let (id, is_new) = save(&shared.repository, new).await?;
        Ok(Restarted { id, is_new })
    }

    /// The new run with all that it takes over. What stands before the step does not change any more, whatever happens to
    /// the old run meanwhile: so it may be read in pieces.
    async fn gather(self, id: RunId, now: Timestamp) -> Result<NewRun, Error> {
        let refused = |why| Error::NotRestarted { run: self.old, why };
        let old = self.read(Part::Work).await?;
        if old.run.definition.pipeline == *ScheduleState::PIPELINE {
            return Err(refused(NoRestart::Schedule));
        }
        let known = self.known(&old.run.definition).map_err(refused)?;
        let restart = model::Restart::of(&old, &known.plan, self.step.as_deref(), id, now);
        let mut restart = restart.map_err(refused)?;
        if let Some(why) = known.differs(restart.stage()) {
            return Err(refused(NoRestart::Differs(why)));
        }
        let mut from = Some(Position::default());
        while let Some(first) = from {
            let page = self.read(Part::Records { from: first, limit: PAGE }).await?;
            from = restart.take(page.records.into_values()).map_err(refused)?;
        }
        Ok(restart.into_new(|new| self.wishes.fill(new)))
    }

    /// By which plan the new run goes: that of the old one, as far as the code that is here can go on by it.
    fn known(&self, definition: &Definition) -> Result<Arc<Known>, NoRestart> {
        let catalog = &self.shared.catalog;
        if let Some(known) = catalog.find(definition) {
            return Ok(known);
        }
        match catalog.judge(definition) {
            Judgement::Foreign => Err(NoRestart::Unknown(definition.pipeline.clone())),
            Judgement::Differs(why) => Err(NoRestart::Differs(why)),
            Judgement::Fits(found) => {
                catalog.learn(&found);
                Ok(found.known.clone())
            }
        }
    }

    async fn read(&self, part: Part) -> Result<StoredRun, Error> {
        let read = ask(|| self.shared.repository.get(self.old, part)).await?;
        read.answer.ok_or(Error::NotFound(self.old))
    }
}

impl IntoFuture for Restart {
    type Output = Result<Restarted, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.save())
    }
}

impl std::fmt::Debug for Restart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Restart")
            .field("old", &self.old)
            .field("step", &self.step)
            .field("wishes", &self.wishes)
            .finish_non_exhaustive()
    }
}
