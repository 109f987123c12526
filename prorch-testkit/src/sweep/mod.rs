//! A pipeline under every crash that can happen between its worker and the store. See [`crash_sweep`].

mod faulty;
mod life;

use std::sync::Arc;
use std::time::Duration;

use prorch_core::clock::ManualClock;
use prorch_core::model::StoredRun;
use prorch_core::orchestrator::{Orchestrator, OrchestratorBuilder};
use prorch_core::pipeline::Pipeline;
use prorch_core::repository::{Filter, Repository, Update};

pub use faulty::{Fault, FaultyRepository};

/// A run that got to its end although something happened on the way.
#[derive(Debug)]
#[non_exhaustive]
pub struct Swept {
    /// What happened.
    pub fault: Fault,
    /// At which write, counted from 0.
    pub write: u64,
    /// Whether it did happen; a fault that says nothing to a write of that kind, or comes after the last one, doesn't.
    pub happened: bool,
    /// The updates that were lost with it: decided on, and never written.
    pub lost: Vec<Update>,
    /// How many workers it took, one after the other.
    pub lives: u32,
    /// The run and its records at the end.
    pub stored: StoredRun,
    /// How many runs there are in the store.
    pub runs: u64,
}

/// Runs `P` to its end again and again, each time in a new repository and with one fault at one write: each kind of
/// [`Fault`] at each write, until one comes after the last. When the worker died of it, a new one goes on with the same
/// store. After every run `check` is given what came of it. Returns how many faults happened.
///
/// `setup` is called for each worker and adds what the steps need. Time is moved by a manual clock: waits, backoffs and
/// leases take none.
///
/// # Panics
///
/// When a run does not get to its end, or a worker ends by another error than the fault.
pub async fn crash_sweep<P, R>(
    open: impl AsyncFn() -> R,
    input: P::Input,
    setup: impl Fn(OrchestratorBuilder) -> OrchestratorBuilder,
    mut check: impl FnMut(&Swept),
) -> u64
where
    P: Pipeline,
    P::Input: Clone,
    R: Repository,
{
    let mut happened = 0;
    for fault in Fault::ALL {
        for write in 0.. {
            let store = Arc::new(open().await);
            let (swept, writes) = sweep::<P, R>(&store, input.clone(), &setup, fault, write).await;
            check(&swept);
            happened += u64::from(swept.happened);
            if writes <= write {
                break;
            }
        }
    }
    happened
}

/// One run with this fault at this write. Also says how many writes there were.
async fn sweep<P, R>(
    store: &Arc<R>,
    input: P::Input,
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
    let faulty = FaultyRepository::new(store.clone(), fault, write);
    let mut lives = 0;
    let run = loop {
        lives += 1;
        assert!(lives <= 2, "{fault:?} at write {write}: one fault is worth one crash");
        let builder = Orchestrator::builder(faulty.clone()).clock(clock.clone()).pipeline::<P>();
        let orchestrator = setup(builder).build().expect("the orchestrator can be built");
        match life::live::<P>(&orchestrator, &clock, input.clone()).await {
            Ok(run) => break run,
            Err(error) => assert!(faulty.is_dead(), "{fault:?} at write {write}: {error}"),
        }
        faulty.revive();
        clock.advance(Duration::from_millis(1));
    };
    let stored = life::stored(&**store, run).await;
    let runs = store.search(&Filter::all().with_total()).await.expect("search").total.expect("asked for");
    let (happened, lost) = faulty.outcome();
    (Swept { fault, write, happened, lost, lives, stored, runs }, faulty.writes())
}
