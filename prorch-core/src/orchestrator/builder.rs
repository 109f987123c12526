use std::sync::Arc;

use super::Orchestrator;
use crate::clock::{Clock, SystemClock};
use crate::config::OrchestratorConfig;
use crate::engine::{Replay, Shared, StoreTime, Waiters};
use crate::error::Error;
use crate::pipeline::{Pipeline, PipelineDefinition};
use crate::registry::{Catalog, pipelines};
use crate::repository::{AnyRepository, Repository};
use crate::step::Resources;

/// An orchestrator that is being set up.
#[must_use = "an orchestrator is made by `.build()`"]
pub struct OrchestratorBuilder {
    repository: AnyRepository,
    config: OrchestratorConfig,
    clock: Arc<dyn Clock>,
    resources: Resources,
    named: Option<Vec<&'static PipelineDefinition>>,
    replay: Option<Replay>,
}

impl OrchestratorBuilder {
    pub(super) fn new(repository: impl Repository) -> Self {
        Self {
            repository: AnyRepository::new(repository),
            config: OrchestratorConfig::default(),
            clock: Arc::new(SystemClock::new()),
            resources: Resources::default(),
            named: None,
            replay: None,
        }
    }

    /// Settings other than the defaults.
    pub fn config(mut self, config: OrchestratorConfig) -> Self {
        self.config = config;
        self
    }

    /// Gives the steps a value of this type: `cx.resource::<T>()?`.
    pub fn resource<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.resources.insert(value);
        self
    }

    /// Names a pipeline. With the first one, the search for all pipelines that are linked into the program is switched
    /// off: only those that are named are known.
    pub fn pipeline<P: Pipeline>(mut self) -> Self {
        self.named.get_or_insert_default().push(P::definition());
        self
    }

    /// Another clock than the system's, for tests.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// For a test that wants to see the same again for the same seed: ids are drawn by it, and engines have no threads of
    /// their own but are tasks of the runtime that they are started from (one with a single thread, and time that
    /// stands still, leaves nothing to chance). A step that blocks its thread then blocks the engine.
    #[doc(hidden)]
    pub fn replay(mut self, seed: u64) -> Self {
        self.replay = Some(Replay::new(seed));
        self
    }

    /// The orchestrator.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] when a setting makes no sense, [`Error::DuplicateName`] when two pipelines have one name.
    pub fn build(self) -> Result<Orchestrator, Error> {
        self.config.check()?;
        let known = self.named.unwrap_or_else(pipelines);
        let catalog = Catalog::new(&known, self.config.steps)?;
        Ok(Orchestrator {
            who: None,
            shared: Arc::new(Shared {
                repository: self.repository,
                catalog,
                config: self.config,
                time: StoreTime::new(self.clock.clone()),
                clock: self.clock,
                resources: Arc::new(self.resources),
                waiters: Waiters::default(),
                #[cfg(feature = "cron")]
                scheduled: std::sync::atomic::AtomicUsize::new(0),
                replay: self.replay,
            }),
        })
    }
}

impl std::fmt::Debug for OrchestratorBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OrchestratorBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}
