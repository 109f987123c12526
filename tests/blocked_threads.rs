//! Steps that block the threads of their runtime delay no renewal of a lease: the engine has a thread of its own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use prorch::RunId;
use prorch::prelude::*;
use prorch::repository::{Answer, Hold, MemoryRepository};
use prorch_testkit::spy::{Seen, SpyRepository};

/// How long threads are blocked: longer than a lease.
const BLOCK: Duration = Duration::from_secs(3);
const LEASE: Duration = Duration::from_secs(2);

/// When the lease of a run ends, as the store has it, and how often it was renewed in time.
#[derive(Debug, Default)]
struct Leases {
    ends: HashMap<RunId, Instant>,
    renewed: HashMap<RunId, u32>,
    too_late: Vec<RunId>,
}

impl Leases {
    fn saw(&mut self, seen: Seen<'_>) {
        let ends = Instant::now() + LEASE;
        match seen {
            Seen::Claimed(claim) => drop(self.ends.insert(claim.stored.run.id, ends)),
            Seen::Answered(update, Answer::Applied { .. }) if matches!(update.hold, Hold::Claim(_)) => {
                let before = self.ends.insert(update.run, ends);
                if before.is_none_or(|before| before < Instant::now()) {
                    self.too_late.push(update.run);
                }
                *self.renewed.entry(update.run).or_default() += 1;
            }
            _ => {}
        }
    }
}

#[derive(Clone, Default)]
struct Calls(Arc<AtomicU32>);

/// Waits as it should, a little longer than the threads are blocked.
#[step]
async fn waits(number: u64, calls: &Calls) -> StepResult<u64> {
    calls.0.fetch_add(1, Ordering::SeqCst);
    tokio::time::sleep(BLOCK).await;
    finish(number)
}

#[pipeline(steps = [waits])]
struct Waiting;

/// Blocks a thread of the runtime, which it should not.
#[step]
async fn blocks(number: u64) -> StepResult<u64> {
    std::thread::sleep(BLOCK);
    finish(number)
}

#[pipeline(steps = [blocks])]
struct Blocking;

#[test]
fn steps_that_block_all_threads_delay_no_renewal() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let leases = Arc::new(Mutex::new(Leases::default()));
    let calls = Calls::default();
    let seen_by = leases.clone();
    let repository =
        SpyRepository::new(MemoryRepository::new(), move |seen| seen_by.lock().unwrap().saw(seen));
    let orchestrator = Orchestrator::builder(repository)
        .config(OrchestratorConfig::default().lease(LEASE))
        .pipeline::<Waiting>()
        .pipeline::<Blocking>()
        .resource(calls.clone())
        .build()
        .unwrap();
    let waiting = runtime.block_on(async {
        let mut waiting = Vec::new();
        for number in 0..20 {
            waiting.push(orchestrator.start::<Waiting>(number).await.unwrap());
        }
        let all = async {
            while calls.0.load(Ordering::SeqCst) < 20 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let one = orchestrator.start::<Blocking>(1).await.unwrap();
            let two = orchestrator.start::<Blocking>(2).await.unwrap();
            assert_eq!((one.wait().await.unwrap(), two.wait().await.unwrap()), (1, 2));
            for (number, run) in waiting.iter().enumerate() {
                assert_eq!(run.wait().await.unwrap(), number as u64);
            }
        };
        orchestrator.run_until(all).await.unwrap();
        waiting
    });
    let leases = leases.lock().unwrap();
    assert_eq!(leases.too_late, [], "no lease ended before it was renewed");
    for run in waiting {
        let renewed = leases.renewed.get(&run.id()).copied().unwrap_or_default();
        assert!(renewed >= 3, "{leases:?}");
    }
    assert_eq!(calls.0.load(Ordering::SeqCst), 20, "no call was made again");
}

/// Told when a thread may go on.
#[derive(Clone, Default)]
struct Release(Arc<AtomicBool>);

/// Never comes back, until it is released: what the runtime can't do.
#[step(retry(max_attempts = 1), timeout = "20ms")]
fn hangs(number: u64, release: &Release) -> StepResult<u64> {
    while !release.0.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(1));
    }
    finish(number)
}

#[pipeline(steps = [hangs])]
struct Hanging;

#[step]
async fn quick(number: u64) -> StepResult<u64> {
    finish(number)
}

#[pipeline(steps = [quick])]
struct Quick;

#[tokio::test]
async fn a_thread_that_never_comes_back_keeps_its_run_and_nothing_else() {
    let release = Release::default();
    let lease = Duration::from_millis(400);
    let orchestrator = Orchestrator::builder(MemoryRepository::new())
        .config(OrchestratorConfig::default().lease(lease))
        .pipeline::<Hanging>()
        .pipeline::<Quick>()
        .resource(release.clone())
        .build()
        .unwrap();
    let hanging = orchestrator.start::<Hanging>(1).await.unwrap();
    let work = async {
        let began = Instant::now();
        let mut number = 0;
        while began.elapsed() < 3 * lease {
            assert_eq!(orchestrator.start::<Quick>(number).await.unwrap().wait().await.unwrap(), number);
            number += 1;
        }
        let held = orchestrator.get(hanging.id()).await.unwrap().unwrap().run;
        assert!(held.lease.is_some() && held.state.crashes == 0, "its lease is renewed: {held:#?}");
        release.0.store(true, Ordering::SeqCst);
        let failed = hanging.wait().await.unwrap_err().to_string();
        assert!(failed.ends_with("the call took longer than 20ms, its timeout"), "{failed}");
    };
    orchestrator.run_until(work).await.unwrap();
}
