//! A backlog of runs that nobody here knows stands in nobody's way, and an idle worker does next to nothing.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(feature = "sqlite")]
#[path = "backlog/statements.rs"]
mod statements;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use prorch::prelude::*;
use prorch::repository::*;
use prorch_testkit::soak;
use prorch_testkit::spy::{Seen, SpyRepository};

#[step]
async fn quick(number: u64) -> StepResult<u64> {
    finish(number)
}

#[pipeline(name = "known", steps = [quick])]
struct Known;

const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

fn definition(pipeline: &str) -> Definition {
    definition_key(pipeline, ["quick"])
}

/// The run with this number.
fn run(number: u64, pipeline: &str, due_at: Timestamp) -> NewRun {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    let new = NewRun::new(RunId::from_bytes(id), definition(pipeline), Text::from("1"), NOW);
    NewRun { due_at, priority: NewRun::MOST_URGENT, ..new }
}

/// Saves so many runs of a pipeline that is unknown here, all due for long.
async fn fill(repository: &impl Repository, backlog: u64) {
    let numbers: Vec<u64> = (0..backlog).collect();
    for numbers in numbers.chunks(MAX_BATCH_ROWS) {
        let long_ago = Timestamp::from_micros(0);
        let runs = numbers.iter().map(|number| run(*number, "unknown", long_ago)).collect();
        repository.save(runs).await.unwrap();
    }
}

/// What a worker does while it is idle.
struct Idle {
    calls: u64,
    statements: u64,
}

/// Counts what a worker asks for that is idle before this backlog, and the statements that come of it, in two seconds after
/// it has come to rest.
async fn while_idle(repository: impl Repository, backlog: u64, statements: fn() -> u64) -> Idle {
    fill(&repository, backlog).await;
    let calls = Arc::new(AtomicU64::new(0));
    let returned = Arc::new(AtomicU64::new(0));
    let counters = (calls.clone(), returned.clone());
    let spy = SpyRepository::new(repository, move |seen| {
        let counter = match seen {
            Seen::Called(_) => &counters.0,
            Seen::Returned(_) => &counters.1,
            _ => return,
        };
        counter.fetch_add(1, Ordering::SeqCst);
    });
    let orchestrator = Orchestrator::builder(spy).pipeline::<Known>().build().unwrap();
    let mut idle = Idle { calls: 0, statements: 0 };
    let work = async {
        assert_eq!(orchestrator.start::<Known>(7).await.unwrap().wait().await.unwrap(), 7);
        let mut before = 0;
        // It has come to rest when it asked for nothing for a while, and waits for no answer.
        while calls.load(Ordering::SeqCst) != before || returned.load(Ordering::SeqCst) != before {
            before = calls.load(Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let statements_before = statements();
        tokio::time::sleep(Duration::from_secs(2)).await;
        idle.calls = calls.load(Ordering::SeqCst) - before;
        idle.statements = statements() - statements_before;
    };
    orchestrator.run_until(work).await.unwrap();
    idle
}

#[tokio::test]
async fn an_idle_worker_on_the_memory_repository_asks_for_nothing() {
    assert!(while_idle(MemoryRepository::new(), 1_000, || 0).await.calls <= 2);
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn an_idle_worker_on_sqlite_asks_for_nothing() {
    let _alone = statements::ALONE.lock().await;
    statements::count_from_now_on();
    let directory = tempfile::tempdir().unwrap();
    let repository = SqliteRepository::open(directory.path().join("runs.db")).unwrap();
    let backlog = soak::pick(20_000, 200_000);
    let Idle { calls, statements } = while_idle(repository, backlog, statements::counted).await;
    soak::say(&format!(
        "idle before {backlog} unknown runs for two seconds: {calls} calls, {statements} SQL statements"
    ));
    assert!(statements::counted() > backlog, "each insert is one at least");
    assert!(calls <= 2, "{calls} calls");
    // One question is a transaction: its begin, a few reads, its end.
    assert!(statements <= 20, "{statements} statements");
}

/// How long a claim of a hundred runs takes, at the median of thirty, behind this backlog.
#[cfg(feature = "sqlite")]
async fn claim_time(backlog: u64) -> Duration {
    let directory = tempfile::tempdir().unwrap();
    let repository = SqliteRepository::open(directory.path().join("runs.db")).unwrap();
    fill(&repository, backlog).await;
    let mut times = Vec::new();
    for round in 0..30 {
        let numbers = (0..100).map(|number| 1_000_000 + round * 100 + number);
        repository.save(numbers.map(|number| run(number, "known", NOW)).collect()).await.unwrap();
        let request = ClaimRequest {
            definitions: [definition("known")].into(),
            limit: 100,
            by_age: 12,
            suspect: true,
            holder: WorkerId::from_bytes([1; 16]),
            lease: Duration::from_secs(3600),
            now: NOW,
            due_by: NOW,
            limits: std::sync::Arc::default(),
            leases: prorch::repository::Leases::ByTime,
        };
        let began = Instant::now();
        let turn = repository.turn(Arc::from([]), Some(request)).await.unwrap();
        assert_eq!(turn.claims.unwrap().len(), 100);
        times.push(began.elapsed());
    }
    times.sort_unstable();
    times[times.len() / 2]
}

/// The steps that a claim takes are compared where they are counted, in `prorch-sqlite`; the times are for the eye, and
/// only a backlog that is walked through makes this fail.
#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_claim_behind_a_backlog_takes_as_long_as_without() {
    let _alone = statements::ALONE.lock().await;
    let backlog = soak::pick(20_000, 200_000);
    let (without, behind) = (claim_time(0).await, claim_time(backlog).await);
    let ratio = behind.as_secs_f64() / without.as_secs_f64();
    soak::say(&format!(
        "a claim of 100 runs: {without:.1?}, behind {backlog} unknown runs {behind:.1?}, ratio {ratio:.2}"
    ));
    assert!(ratio < 10.0, "{without:?} without and {behind:?} behind a backlog");
}
