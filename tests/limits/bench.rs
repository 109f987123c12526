//! A world in which it is counted what is done, and when.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prorch::prelude::*;
use prorch::repository::{Filter, Repository, Run, Timestamp};
use prorch::testing::{Clock, ManualClock};
use prorch::{OrchestratorBuilder, PassReport, RunHandle};

/// What was done, in order: which step, of what, and when.
#[derive(Clone, Debug, Default)]
pub(crate) struct World(Arc<Mutex<Vec<Done>>>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) step: &'static str,
    pub(crate) of: u64,
    pub(crate) millis: u64,
}

/// The time that passed since the test began.
pub(crate) struct Watch(ManualClock, Timestamp);

impl World {
    pub(crate) fn does(&self, step: &'static str, of: u64, watch: &Watch) {
        let Watch(clock, begin) = watch;
        let millis = clock.now().saturating_since(*begin).as_millis() as u64;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Done { step, of, millis });
    }

    /// What was done since this was last called.
    pub(crate) fn take(&self) -> Vec<Done> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Of what this step was done, in order.
    pub(crate) fn of(&self, step: &str) -> Vec<u64> {
        self.take().into_iter().filter(|done| done.step == step).map(|done| done.of).collect()
    }
}

/// An orchestrator, its clock, and the store below it.
pub(crate) struct Bench<R> {
    pub(crate) store: R,
    pub(crate) clock: ManualClock,
    pub(crate) world: World,
    pub(crate) orchestrator: Orchestrator,
}

impl<R: Repository + Clone> Bench<R> {
    pub(crate) fn new(store: R, add: impl FnOnce(OrchestratorBuilder) -> OrchestratorBuilder) -> Self {
        let (clock, world) = (ManualClock::default(), World::default());
        let watch = Watch(clock.clone(), clock.now());
        let config = OrchestratorConfig::default().lease(Duration::from_secs(24 * 3_600));
        let builder = Orchestrator::builder(store.clone()).clock(clock.clone()).config(config);
        let orchestrator = add(builder.resource(world.clone()).resource(watch)).build().unwrap();
        Self { store, clock, world, orchestrator }
    }

    /// Starts a run, a moment after the one before.
    pub(crate) async fn start<P: Pipeline<Input = u64>>(&self, of: u64) -> RunHandle<P> {
        self.clock.advance(Duration::from_millis(1));
        self.orchestrator.start::<P>(of).await.unwrap()
    }

    pub(crate) async fn pass(&self) -> PassReport {
        self.orchestrator.execute_pipelines().await.unwrap()
    }

    pub(crate) async fn pass_after(&self, time: Duration) -> PassReport {
        self.clock.advance(time);
        self.pass().await
    }

    pub(crate) async fn active(&self) -> Vec<Run> {
        self.store.search(&Filter::active().limit(1_000)).await.unwrap().runs
    }

    /// Passes, each at the time at which something is due, until all runs have ended.
    pub(crate) async fn until_all_ended(&self) {
        for _ in 0..1_000 {
            self.pass().await;
            let active = self.active().await;
            if active.is_empty() {
                return;
            }
            let next = active.iter().filter_map(Run::claimable_at).min();
            let next = next.unwrap_or_else(|| panic!("all wait for what never comes: {active:#?}"));
            self.clock.advance(next.saturating_since(self.clock.now()));
        }
        panic!("the runs do not end");
    }
}

/// A test for each of these functions, on the store in memory and on SQLite.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod memory {
            $(
                #[tokio::test]
                async fn $name() {
                    super::$name(prorch::repository::MemoryRepository::new()).await;
                }
            )*
        }

        #[cfg(feature = "sqlite")]
        mod sqlite {
            $(
                #[tokio::test]
                async fn $name() {
                    super::$name(prorch::SqliteRepository::open_in_memory().unwrap()).await;
                }
            )*
        }
    };
}
pub(crate) use on_both;
