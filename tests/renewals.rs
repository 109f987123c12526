//! The lease of a run is renewed while its steps are called, also when something else of it is being written at that
//! time, and when the store refuses the renewal.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use prorch::prelude::*;
use prorch::repository::*;
use prorch_testkit::ManualClock;
use tokio::sync::watch;

/// What the test does to the store, and what it sees there.
struct Hands {
    /// While it is closed the store does not answer.
    gate: watch::Sender<bool>,
    /// So many calls of the store wait at the gate.
    waiting: AtomicU32,
    /// Whether renewals are refused.
    refuses: AtomicBool,
    refused: AtomicU32,
    renewed: AtomicU32,
}

#[derive(Clone)]
struct HandledRepository {
    inner: MemoryRepository,
    hands: Arc<Hands>,
}

const fn is_renewal(update: &Update) -> bool {
    matches!((&update.guard, &update.hold), (Guard::Held(..), Hold::Claim(_)))
}

impl HandledRepository {
    async fn answer(&self, update: &Update) -> Result<Answer, StoreError> {
        if is_renewal(update) && self.hands.refuses.load(Ordering::SeqCst) {
            self.hands.refused.fetch_add(1, Ordering::SeqCst);
            return Ok(Answer::Rejected(Text::from("not now")));
        }
        let answers = self.inner.update([update.clone()].into()).await?;
        if is_renewal(update) {
            self.hands.renewed.fetch_add(1, Ordering::SeqCst);
        }
        Ok(answers.into_iter().next().unwrap())
    }
}

impl Repository for HandledRepository {
    async fn get(&self, id: RunId, part: Part) -> Result<Option<StoredRun>, StoreError> {
        self.inner.get(id, part).await
    }

    async fn save(&self, runs: Vec<NewRun>) -> Result<Vec<Saved>, StoreError> {
        self.inner.save(runs).await
    }

    async fn update(&self, updates: Arc<[Update]>) -> Result<Vec<Answer>, StoreError> {
        self.hands.waiting.fetch_add(1, Ordering::SeqCst);
        self.hands.gate.subscribe().wait_for(|is_open| *is_open).await.unwrap();
        self.hands.waiting.fetch_sub(1, Ordering::SeqCst);
        let mut answers = Vec::new();
        for update in updates.iter() {
            answers.push(self.answer(update).await?);
        }
        Ok(answers)
    }

    async fn search(&self, filter: &Filter) -> Result<Page, StoreError> {
        self.inner.search(filter).await
    }
}

/// Lets calls end, and counts them.
#[derive(Clone)]
struct Ends(Arc<Switches>);

struct Switches {
    quick: watch::Sender<bool>,
    slow: watch::Sender<bool>,
    calls: AtomicU32,
}

#[step]
async fn quick(_: u64, ends: &Ends) -> StepResult<u64> {
    ends.0.calls.fetch_add(1, Ordering::SeqCst);
    ends.0.quick.subscribe().wait_for(|is_over| *is_over).await?;
    finish(1)
}

#[step]
async fn slow(_: u64, ends: &Ends) -> StepResult<u64> {
    ends.0.calls.fetch_add(1, Ordering::SeqCst);
    ends.0.slow.subscribe().wait_for(|is_over| *is_over).await?;
    finish(2)
}

#[pipeline(steps = [[quick, slow]])]
struct Both;

/// A third of the lease, and a second.
const RENEWAL: Duration = Duration::from_secs(11);

struct Bench {
    hands: Arc<Hands>,
    ends: Ends,
    clock: ManualClock,
    orchestrator: Orchestrator,
}

fn bench() -> Bench {
    let hands = Arc::new(Hands {
        gate: watch::Sender::new(true),
        waiting: AtomicU32::new(0),
        refuses: AtomicBool::new(false),
        refused: AtomicU32::new(0),
        renewed: AtomicU32::new(0),
    });
    let off = || watch::Sender::new(false);
    let ends = Ends(Arc::new(Switches { quick: off(), slow: off(), calls: AtomicU32::new(0) }));
    let repository = HandledRepository { inner: MemoryRepository::new(), hands: hands.clone() };
    let clock = ManualClock::default();
    let builder = Orchestrator::builder(repository).clock(clock.clone()).pipeline::<Both>();
    let orchestrator = builder.resource(ends.clone()).build().unwrap();
    Bench { hands, ends, clock, orchestrator }
}

/// Waits until it is so.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn count(counter: &AtomicU32) -> u32 {
    counter.load(Ordering::SeqCst)
}

impl Bench {
    /// Lets a pass work, while the test does this with both calls under way.
    async fn pass(&self, test: impl AsyncFnOnce()) {
        let run = self.orchestrator.start::<Both>(0).await.unwrap();
        let worker = self.orchestrator.clone();
        let pass = tokio::spawn(async move { worker.execute_pipelines().await });
        until("both are called", || count(&self.ends.0.calls) == 2).await;
        test().await;
        self.ends.0.quick.send_replace(true);
        self.ends.0.slow.send_replace(true);
        let report = pass.await.unwrap().unwrap();
        assert_eq!((report.finished, report.stale), (1, 0), "{report:?}");
        assert_eq!(run.wait().await.unwrap(), (1, 2));
        assert_eq!(count(&self.ends.0.calls), 2, "nobody was called again");
    }
}

#[tokio::test]
async fn a_renewal_that_comes_due_while_the_run_is_being_written_is_made_when_that_is_done() {
    let bench = bench();
    let test = async || {
        bench.hands.gate.send_replace(false);
        bench.ends.0.quick.send_replace(true);
        until("the first answer is being written", || count(&bench.hands.waiting) == 1).await;
        bench.clock.advance(RENEWAL);
        // The worker looks at its leases now, and finds nothing that it can do.
        tokio::time::sleep(Duration::from_millis(50)).await;
        bench.hands.gate.send_replace(true);
        until("the lease is renewed", || count(&bench.hands.renewed) == 1).await;
    };
    bench.pass(test).await;
}

#[tokio::test]
async fn a_renewal_that_the_store_refuses_drops_no_call_and_is_made_again_later() {
    let bench = bench();
    let test = async || {
        bench.hands.refuses.store(true, Ordering::SeqCst);
        bench.clock.advance(RENEWAL);
        until("the renewal is refused", || count(&bench.hands.refused) == 1).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(count(&bench.hands.refused), 1, "it is not asked again without a pause");
        bench.hands.refuses.store(false, Ordering::SeqCst);
        bench.clock.advance(Duration::from_secs(5));
        until("the lease is renewed", || count(&bench.hands.renewed) == 1).await;
    };
    bench.pass(test).await;
}
