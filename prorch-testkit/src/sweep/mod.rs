//! A pipeline under every crash that can happen between its worker and the store. See [`crash_sweep`].

mod life;

use std::sync::Arc;
use std::time::Duration;

use prorch_core::clock::ManualClock;
use prorch_core::model::StoredRun;
use prorch_core::orchestrator::{Orchestrator, OrchestratorBuilder};
use prorch_core::pipeline::Pipeline;
use prorch_core::repository::Repository;

use crate::faults::{Fault, FaultyRepository};

/// Runs that got to their end although something happened on the way.
#[derive(Debug)]
#[non_exhaustive]
pub struct Swept {
    /// What happened.
    pub fault: Fault,
    /// At which write, counted from 0.
    pub write: u64,
    /// Whether it did happen; a fault that says nothing to a write of that kind, or comes after the last one, doesn't.
    pub happened: bool,
    /// What was stored when the worker died of it; none when it did not.
    pub at_death: Option<Vec<StoredRun>>,
    /// All runs of the store and their records at the end.
    pub stored: Vec<StoredRun>,
}

/// Runs `P` with each of the inputs to its end again and again, each time in a new repository and with one fault at one
/// write: each kind of [`Fault`] at each write, until one comes after the last. When the worker died of it, a new one
/// goes on with the same store. After every such life `check` is given what came of it. Returns how many faults happened.
///
/// `setup` is called for each worker, the one that takes over too, and adds what the steps need. Time is moved by a
/// manual clock: waits, backoffs and leases take none.
///
/// # Panics
///
/// When a run does not get to its end, or a worker ends by another error than the fault.
pub async fn crash_sweep<P, R>(
    open: impl AsyncFn() -> R,
    inputs: Vec<P::Input>,
    setup: impl Fn(OrchestratorBuilder) -> OrchestratorBuilder,
    mut check: impl FnMut(&Swept),
) -> u64
where
    P: Pipeline,
    P::Input: Clone,
    R: Repository,
{
    let mut happened = 0;
    for fault in Fault::AT_A_WRITE {
        for write in 0.. {
            let store = Arc::new(open().await);
            let (swept, writes) = sweep::<P, R>(&store, inputs.clone(), &setup, fault, write).await;
            check(&swept);
            happened += u64::from(swept.happened);
            if writes <= write {
                break;
            }
        }
    }
    happened
}

/// All runs with this fault at this write. Also says how many writes there were.
async fn sweep<P, R>(
    store: &Arc<R>,
    inputs: Vec<P::Input>,
    setup: &impl Fn(OrchestratorBuilder) -> OrchestratorBuilder,
    fault: Fault,
    write: u64,
) -> (Swept, u64)
where
    P: Pipeline,
    P::Input: Clone,
    R: Repository,
{
    let clock = ManualClock::default();
    let faulty = FaultyRepository::at(store.clone(), fault, write);
    let mut at_death = None;
    loop {
        let builder = Orchestrator::builder(faulty.clone()).clock(clock.clone()).pipeline::<P>();
        let orchestrator = setup(builder).build().expect("the orchestrator can be built");
        match life::live::<P>(&orchestrator, &clock, inputs.clone()).await {
            Ok(()) => break,
            Err(error) => assert!(faulty.is_dead(), "{fault:?} at write {write}: {error}"),
        }
        assert!(at_death.is_none(), "{fault:?} at write {write}: one fault is worth one crash");
        at_death = Some(life::stored(&**store).await);
        faulty.revive();
        clock.advance(Duration::from_millis(1));
    }
    faulty.settle().await;
    let happened = !faulty.happened().is_empty();
    let swept = Swept { fault, write, happened, at_death, stored: life::stored(&**store).await };
    (swept, faulty.writes())
}
