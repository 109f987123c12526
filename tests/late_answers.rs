//! A store that answers late, and what of that still counts.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use prorch::PassReport;
use prorch::prelude::*;
use prorch::repository::*;
use prorch_testkit::ManualClock;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Keeps back the answers to one kind of call until the test lets them through, one by one.
#[derive(Clone)]
struct LateRepository {
    inner: MemoryRepository,
    gates: Arc<Gates>,
}

#[derive(Default)]
struct Gates {
    claims: Gate,
    outlook: Gate,
}

/// Where answers wait.
#[derive(Default)]
struct Gate {
    is_closed: AtomicBool,
    waiting: Mutex<Vec<Option<oneshot::Sender<()>>>>,
}

impl Gate {
    fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
    }

    async fn pass(&self) {
        if self.is_closed.load(Ordering::SeqCst) {
            let (open, opened) = oneshot::channel();
            self.waiting.lock().unwrap().push(Some(open));
            opened.await.unwrap();
        }
    }

    /// Returns when so many answers have come to the gate.
    async fn has_seen(&self, answers: usize) {
        while self.waiting.lock().unwrap().len() < answers {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Lets one answer through.
    fn let_through(&self, answer: usize) {
        let open = self.waiting.lock().unwrap()[answer].take().unwrap();
        open.send(()).unwrap();
    }

    /// Keeps nothing back that comes from now on.
    fn open(&self) {
        self.is_closed.store(false, Ordering::SeqCst);
    }
}

impl Repository for LateRepository {
    async fn get(&self, id: RunId, part: Part) -> Result<Option<StoredRun>, StoreError> {
        self.inner.get(id, part).await
    }

    async fn save(&self, runs: Vec<NewRun>) -> Result<Vec<Saved>, StoreError> {
        self.inner.save(runs).await
    }

    async fn update(&self, updates: Arc<[Update]>) -> Result<Vec<Answer>, StoreError> {
        self.inner.update(updates).await
    }

    async fn search(&self, filter: &Filter) -> Result<Page, StoreError> {
        self.inner.search(filter).await
    }

    async fn turn(&self, updates: Arc<[Update]>, claim: Option<ClaimRequest>) -> Result<Turn, StoreError> {
        let claims = claim.is_some();
        let turn = self.inner.turn(updates, claim).await;
        if claims {
            self.gates.claims.pass().await;
        }
        turn
    }

    async fn outlook(&self, request: &ClaimRequest) -> Result<Outlook, StoreError> {
        let answer = self.inner.outlook(request).await;
        self.gates.outlook.pass().await;
        answer
    }

    async fn changed(&self) {
        self.inner.changed().await;
    }
}

#[derive(Clone, Default)]
struct Calls(Arc<AtomicU32>);

#[step]
async fn counted(number: u64, calls: &Calls) -> StepResult<u64> {
    calls.0.fetch_add(1, Ordering::SeqCst);
    finish(number)
}

#[pipeline(steps = [counted])]
struct Counted;

struct Bench {
    store: MemoryRepository,
    gates: Arc<Gates>,
    clock: ManualClock,
    calls: Calls,
    late: Orchestrator,
    other: Orchestrator,
}

fn bench() -> Bench {
    let (store, gates, clock, calls) =
        (MemoryRepository::new(), Arc::new(Gates::default()), ManualClock::default(), Calls::default());
    let build = |builder: prorch::OrchestratorBuilder| {
        builder.clock(clock.clone()).pipeline::<Counted>().resource(calls.clone()).build().unwrap()
    };
    let late = LateRepository { inner: store.clone(), gates: gates.clone() };
    let (late, other) = (build(Orchestrator::builder(late)), build(Orchestrator::builder(store.clone())));
    Bench { store, gates, clock, calls, late, other }
}

impl Bench {
    /// A pass that has claimed a run, and hears of it when the gate is opened: by now its lease is over.
    async fn late_pass(&self) -> (RunId, JoinHandle<Result<PassReport, prorch::Error>>) {
        self.gates.claims.close();
        let run = self.late.start::<Counted>(1).await.unwrap().id();
        let worker = self.late.clone();
        let pass = tokio::spawn(async move { worker.execute_pipelines().await });
        self.gates.claims.has_seen(1).await;
        self.clock.advance(Duration::from_secs(31));
        (run, pass)
    }

    async fn row(&self, run: RunId) -> Run {
        self.store.get(run, Part::Row).await.unwrap().unwrap().run
    }
}

#[tokio::test]
async fn a_claim_that_is_answered_after_its_lease_makes_no_call() {
    let bench = bench();
    let (run, pass) = bench.late_pass().await;
    assert_eq!(bench.other.execute_pipelines().await.unwrap().finished, 1, "it is taken over");
    bench.gates.claims.open();
    bench.gates.claims.let_through(0);
    let report = pass.await.unwrap().unwrap();
    assert_eq!((report.claimed, report.calls, report.stale), (1, 0, 1), "{report:?}");
    assert_eq!(bench.calls.0.load(Ordering::SeqCst), 1, "nobody is called after its end was committed");
    assert_eq!(bench.row(run).await.status(), Status::Finished);
}

#[tokio::test]
async fn a_claim_that_is_answered_after_its_lease_and_was_not_taken_over_is_given_back() {
    let bench = bench();
    let (run, pass) = bench.late_pass().await;
    bench.gates.claims.open();
    bench.gates.claims.let_through(0);
    assert_eq!(pass.await.unwrap().unwrap().calls, 0);
    let stored = bench.row(run).await;
    assert_eq!((stored.lease, stored.state.crashes), (None, 0), "it was not cut off in a call");
    assert_eq!(bench.other.execute_pipelines().await.unwrap().finished, 1);
}

/// The store says to a first question that a run is due in an hour. Before that arrives, a run comes that is due in a
/// second, and the question is asked again: the first answer must not put it off.
#[tokio::test]
async fn a_late_word_of_when_something_is_due_puts_nothing_off() {
    let bench = bench();
    bench.gates.outlook.close();
    let later = bench.other.start::<Counted>(1).delay(Duration::from_secs(3600)).await.unwrap();
    let work = async {
        bench.gates.outlook.has_seen(1).await;
        let soon = bench.other.start::<Counted>(2).delay(Duration::from_secs(1)).await.unwrap();
        bench.gates.outlook.has_seen(2).await;
        bench.gates.outlook.open();
        bench.gates.outlook.let_through(1);
        tokio::time::sleep(Duration::from_millis(20)).await;
        bench.gates.outlook.let_through(0);
        for _ in 0..50 {
            bench.clock.advance(Duration::from_millis(100));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        while bench.calls.0.load(Ordering::SeqCst) == 0 && Instant::now() < deadline {
            // A worker that hears of it only now looks a moment later, by this clock.
            bench.clock.advance(Duration::from_millis(1));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(
            bench.calls.0.load(Ordering::SeqCst),
            1,
            "what was due in a second is called within minutes"
        );
        assert_eq!((soon.wait().await.unwrap(), later.status().await.unwrap()), (2, Status::Created));
    };
    bench.late.run_until(work).await.unwrap();
}
