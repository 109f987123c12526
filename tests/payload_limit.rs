//! One output over the limit among a thousand harms its own run only, on each back end.
//!
//! The limit is the engine's (`OrchestratorConfig::max_payload`): no store is ever asked to write what is longer. What a
//! store itself refuses (texts with a NUL, names that are too long) is refused at each place of a thousand updates by the
//! conformance suite, on every back end. A record that can't be read exists in a file only: one of SQLite's rows is broken in
//! `prorch-sqlite`'s tests; a broken file of the JSON repository is refused whole, and values in memory don't break.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../examples/json_repository/repository.rs"]
mod json;

use json::JsonRepository;
use prorch::prelude::*;
use prorch::repository::{CauseKind, MemoryRepository, Repository};
use prorch::{Error, Status};

/// Hands on a text of this length.
#[step]
async fn long_text(length: usize) -> StepResult<String> {
    finish("x".repeat(length))
}

#[pipeline(steps = [long_text])]
struct LongText;

/// So many runs are worked off side by side, of which the one at `place` has an output that is too long.
async fn one_too_long(repository: impl Repository, count: usize, place: usize) {
    let orchestrator = Orchestrator::builder(repository)
        .config(OrchestratorConfig::default().concurrency(count).max_payload(100))
        .pipeline::<LongText>()
        .build()
        .unwrap();
    let mut runs = Vec::new();
    for number in 0..count {
        let length = if number == place { 101 } else { 10 };
        runs.push(orchestrator.start::<LongText>(length).await.unwrap());
    }
    let report = orchestrator.execute_pipelines().await.unwrap();
    assert_eq!((report.finished, report.failed), (count as u64 - 1, 1));
    for (number, run) in runs.iter().enumerate() {
        let status = if number == place { Status::Failed } else { Status::Finished };
        assert_eq!(run.status().await.unwrap(), status, "run {number}");
    }
    let Err(Error::Failed { cause, .. }) = runs[place].wait().await else { panic!("it fails") };
    assert_eq!(cause.kind, CauseKind::Refused);
    assert!(cause.text.contains("at most 100 are stored"), "{}", cause.text);
}

#[tokio::test]
async fn in_memory() {
    for place in [0, 500, 999] {
        one_too_long(MemoryRepository::new(), 1_000, place).await;
    }
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn in_a_sqlite_file() {
    for place in [0, 500, 999] {
        let directory = tempfile::tempdir().unwrap();
        let repository = SqliteRepository::open(directory.path().join("runs.db")).unwrap();
        one_too_long(repository, 1_000, place).await;
    }
}

/// Fewer runs, because each write of this repository costs as much as all of them.
#[tokio::test]
async fn in_a_json_file() {
    for place in [0, 25, 49] {
        let directory = tempfile::tempdir().unwrap();
        let repository = JsonRepository::open(directory.path().join("runs.json")).unwrap();
        one_too_long(repository, 50, place).await;
    }
}
