//! Moves the clock of the load.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use prorch_core::error::Error;
use prorch_core::repository::{Filter, Repository, RunId};
use tokio::task::JoinHandle;

use super::Load;
use crate::faults::FaultyRepository;

/// The clock moves only when the store was not called for so long: so that no lease runs out while a worker is busy.
const QUIET: Duration = Duration::from_millis(6);
/// How far it moves at once: first this, doubled up to the longest as long as nothing comes of it.
const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(4);
/// No load takes as long as this, even on a slow machine.
const DEADLINE: Duration = Duration::from_secs(100);

/// Moves the clock until all runs have ended.
pub(super) async fn until_all_ended<R: Repository>(
    load: &Load<R>,
    poster: &JoinHandle<BTreeMap<u64, RunId>>,
    workers: &[JoinHandle<Result<(), Error>>],
) {
    let began = Instant::now();
    let (mut calls, mut step) = (0, FIRST);
    while !poster.is_finished() || is_open(load).await {
        assert!(began.elapsed() < DEADLINE, "runs are still open: {:#?}", open(load).await);
        assert!(!workers.iter().any(JoinHandle::is_finished), "a worker ended");
        tokio::time::sleep(QUIET).await;
        let now = load.faulty.iter().map(FaultyRepository::calls).sum();
        if now == calls {
            load.clock.advance(step);
            step = (step * 2).min(LONGEST);
        } else {
            step = FIRST;
        }
        calls = now;
    }
}

async fn is_open<R: Repository>(load: &Load<R>) -> bool {
    !open(load).await.is_empty()
}

/// A few of the runs that have not ended.
async fn open<R: Repository>(load: &Load<R>) -> Vec<prorch_core::model::Run> {
    load.store.search(&Filter::active().limit(3)).await.expect("the store itself can be read").runs
}
