//! A run with ten times as many items, or children, takes about ten times as long.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use prorch::prelude::*;
use prorch::repository::{MemoryRepository, Repository};
use prorch_testkit::soak;
use tempfile::TempDir;
use tokio::sync::Mutex;

#[step]
async fn up_to(number: u64) -> StepResult<Vec<u64>> {
    finish((0..number).collect())
}

#[step]
async fn double(number: u64) -> StepResult<u64> {
    finish(number * 2)
}

#[step]
async fn total(numbers: Vec<u64>) -> StepResult<u64> {
    finish(numbers.iter().sum())
}

#[pipeline(steps = [up_to, each(double), total])]
struct Items;

#[pipeline(steps = [double])]
struct Doubling;

#[pipeline(steps = [up_to, each(run(Doubling), concurrency = 100), total])]
struct Children;

/// How long a worker takes for one run of `P` with so many items.
async fn time<P>(repository: impl Repository, items: u64) -> Duration
where
    P: Pipeline<Input = u64, Output = u64>,
{
    let orchestrator = Orchestrator::builder(repository).pipeline::<P>().build().unwrap();
    let run = orchestrator.start::<P>(items).await.unwrap();
    let began = Instant::now();
    orchestrator.run_until(run.wait()).await.unwrap();
    let took = began.elapsed();
    assert_eq!(run.wait().await.unwrap(), items * (items - 1));
    took
}

/// A file that is not there yet.
fn another_file(directory: &TempDir) -> PathBuf {
    static FILES: AtomicU32 = AtomicU32::new(0);
    directory.path().join(format!("{}.db", FILES.fetch_add(1, Ordering::SeqCst)))
}

/// At most so many times as long for ten times as many.
const AT_MOST: f64 = 12.0;

/// Tells how long it takes for some, and for ten times as many. Only the long form decides by that.
///
/// A round takes as much time for the many as for the few, of which it does ten runs, half of them before and half after:
/// what else the machine does slows both down alike. The middle one of the rounds counts.
async fn compare<P, R>(what: &str, open: impl AsyncFn() -> R)
where
    P: Pipeline<Input = u64, Output = u64>,
    R: Repository,
{
    let (few, half) = (soak::pick(20, 1_000), soak::pick(1, 5));
    let mut rounds = Vec::new();
    for _ in 0..soak::pick(1, 3) {
        let mut one = Duration::ZERO;
        for _ in 0..half {
            one += time::<P>(open().await, few).await;
        }
        let ten = time::<P>(open().await, 10 * few).await;
        for _ in 0..half {
            one += time::<P>(open().await, few).await;
        }
        let one = one.as_secs_f64() / f64::from(2 * half);
        rounds.push((ten.as_secs_f64() / one, one, ten));
    }
    rounds.sort_by(|round, other| round.0.total_cmp(&other.0));
    let (times, one, ten) = rounds[rounds.len() / 2];
    let worst = rounds.last().map_or(0.0, |round| round.0);
    soak::say(&format!(
        "{what}: {few} in {one:.2} s, {} in {ten:.2?}: {times:.1} times (the worst of {} rounds: {worst:.1})",
        10 * few,
        rounds.len(),
    ));
    assert!(!soak::is_long() || times <= AT_MOST, "{what}: {times:.1} times as long for ten times as many");
}

/// One after the other: beside each other they would measure each other.
static ALONE: Mutex<()> = Mutex::const_new(());

#[tokio::test]
async fn ten_times_as_many_items_take_about_ten_times_as_long() {
    let _alone = ALONE.lock().await;
    compare::<Items, _>("items, in memory", async || MemoryRepository::new()).await;
    let directory = tempfile::tempdir().unwrap();
    let file = async || SqliteRepository::open(another_file(&directory)).unwrap();
    compare::<Items, _>("items, SQLite", file).await;
}

#[tokio::test]
async fn ten_times_as_many_children_take_about_ten_times_as_long() {
    let _alone = ALONE.lock().await;
    compare::<Children, _>("children, in memory", async || MemoryRepository::new()).await;
    let directory = tempfile::tempdir().unwrap();
    let file = async || SqliteRepository::open(another_file(&directory)).unwrap();
    compare::<Children, _>("children, SQLite", file).await;
}
