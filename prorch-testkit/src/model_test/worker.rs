//! A worker of the world: its clock, and its way to the store.

use std::sync::Arc;
use std::time::Duration;

use prorch_core::clock::ManualClock;
use prorch_core::config::OrchestratorConfig;
use prorch_core::error::Error;
use prorch_core::orchestrator::Orchestrator;
use prorch_core::repository::{Repository, Timestamp};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::gate::{Gate, Gated};
use super::journal::CRASH_CAP;
use super::pipelines::known;
use super::scene::Scene;
use super::store::Store;
use crate::faults::FaultyRepository;

/// The store as one participant has it.
pub(super) type Link<R> = Gated<FaultyRepository<Store<R>>>;

/// Who has the store: a worker, or who starts runs and tells them things.
pub(super) struct Participant<R> {
    pub(super) link: Link<R>,
    pub(super) orchestrator: Orchestrator,
    clock: ManualClock,
    /// How much time passed while it stood still.
    missed: Option<Duration>,
}

impl<R: Repository> Participant<R> {
    /// One whose clock says this, and whose ids come from this seed.
    pub(super) fn new(store: &Arc<Store<R>>, scene: &Arc<Scene>, now: Timestamp, seed: u64) -> Self {
        let link = Gated::new(FaultyRepository::told(store.clone()));
        let clock = ManualClock::at(now);
        // No call is to end by its timeout.
        let config = OrchestratorConfig::default().timeout(Duration::from_secs(1 << 30));
        let builder = Orchestrator::builder(link.clone())
            .config(config.crash_cap(CRASH_CAP))
            .clock(clock.clone())
            .resource(scene.clone())
            .replay(seed);
        let orchestrator = known(builder).build().expect("the orchestrator can be built");
        Self { link, orchestrator, clock, missed: None }
    }

    pub(super) fn faults(&self) -> &FaultyRepository<Store<R>> {
        self.link.inner()
    }

    pub(super) fn advance(&mut self, by: Duration) {
        match &mut self.missed {
            Some(missed) => *missed += by,
            None => self.clock.advance(by),
        }
    }

    pub(super) fn freeze(&mut self, gate: Gate) {
        if self.missed.is_none() {
            self.link.set(gate);
            self.missed = Some(Duration::ZERO);
        }
    }

    /// It goes on, and sees at once how much time has passed.
    pub(super) fn thaw(&mut self) {
        if let Some(missed) = self.missed.take() {
            self.clock.advance(missed);
            self.link.set(Gate::Open);
        }
    }
}

/// A worker that works.
pub(super) struct Worker<R> {
    pub(super) own: Participant<R>,
    stop: watch::Sender<bool>,
    work: JoinHandle<Result<(), Error>>,
}

impl<R: Repository> Worker<R> {
    pub(super) fn begin(own: Participant<R>) -> Self {
        let stop = watch::Sender::new(false);
        let (orchestrator, mut stopped) = (own.orchestrator.clone(), stop.subscribe());
        let work = tokio::spawn(async move { orchestrator.run_until(stopped.wait_for(|stop| *stop)).await });
        Self { own, stop, work }
    }

    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// It dies: nothing that it asks comes to the store any more, and its calls are dropped.
    pub(super) fn kill(&mut self) {
        self.own.faults().kill();
        self.own.thaw();
        self.work.abort();
    }

    pub(super) fn has_ended(&self) -> bool {
        self.work.is_finished() || self.own.faults().is_dead()
    }

    /// Why it ended, if that was neither its death nor as it was told; and what is left of it.
    pub(super) async fn end(mut self) -> (Option<String>, Participant<R>) {
        if self.own.faults().is_dead() {
            self.kill();
        }
        let why = match self.work.await {
            _ if self.own.faults().is_dead() => None,
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        (why, self.own)
    }
}
