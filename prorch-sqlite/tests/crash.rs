//! What a call said to be written is there after the process was killed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use common::{NOW, claim, new_run, request, run_id};
use prorch_core::repository::*;
use prorch_sqlite::SqliteRepository;

/// Names the file to the child, which is this test again.
const FILE: &str = "PRORCH_TEST_FILE";

/// Saves, claims and writes records until somebody ends it, and says what was answered.
async fn write_until_killed(path: PathBuf) {
    let repository = SqliteRepository::open(path).unwrap();
    for n in 1.. {
        repository.save(vec![new_run(n)]).await.unwrap();
        let claim = claim(&repository, request(1, NOW)).await.remove(0);
        let run = claim.stored.run;
        let record = StepRecord::new(Position::default(), Text::from("dump"), NOW);
        let update = Update {
            records: vec![RecordWrite::New(record)],
            ..Update::new(run.id, Guard::Held(run.epoch, WorkerId::from_bytes([7; 16])), Hold::Keep, NOW)
        };
        let answers = repository.update(vec![update].into()).await.unwrap();
        assert!(matches!(answers[0], Answer::Applied { .. }));
        tell(n);
    }
}

/// A line for the test. It begins anew, because the harness may have begun one.
#[allow(clippy::print_stdout, reason = "that is how the child tells the test")]
fn tell(n: u128) {
    println!("\nwritten {n}");
}

#[tokio::test]
async fn what_was_answered_survives_the_end_of_the_process() {
    if let Some(path) = std::env::var_os(FILE) {
        return write_until_killed(path.into()).await;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("runs.db");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "what_was_answered_survives_the_end_of_the_process"])
        .env(FILE, &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let written: Vec<u128> =
        lines.filter_map(|line| line.strip_prefix("written ")?.parse().ok()).take(40).collect();
    child.kill().unwrap();
    child.wait().unwrap();

    assert_eq!(written.len(), 40);
    let repository = SqliteRepository::open(&path).unwrap();
    for n in written {
        let stored = repository.get(run_id(n), Part::Work).await.unwrap().expect("it was answered");
        assert_eq!(stored.records.len(), 1);
        assert_eq!(stored.run.epoch, Epoch(1));
    }
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_is_whole_or_not_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("runs.db");
    let repository = SqliteRepository::open(&path).unwrap();
    for n in 0..50 {
        let both = repository.save(vec![new_run(2 * n + 1), new_run(2 * n + 2)]);
        // The call is begun and given up.
        let _ = tokio::time::timeout(std::time::Duration::from_micros(n as u64 * 20), both).await;
    }
    drop(repository);
    let repository = SqliteRepository::open(&path).unwrap();
    for n in 0..50 {
        let one = repository.get(run_id(2 * n + 1), Part::Row).await.unwrap();
        let two = repository.get(run_id(2 * n + 2), Part::Row).await.unwrap();
        assert_eq!(one.is_some(), two.is_some());
    }
}
