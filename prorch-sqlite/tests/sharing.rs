//! Several repositories and other programs on one file.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::{Duration, Instant};

use common::{NOW, claim, new_run, request, run_id};
use prorch_core::repository::*;
use prorch_sqlite::SqliteRepository;
use prorch_testkit::soak::say;
use rusqlite::Connection;

/// Longer than anything in here takes.
const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn two_repositories_share_the_runs_and_no_claim() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("runs.db");
    let (one, two) = (SqliteRepository::open(&path).unwrap(), SqliteRepository::open(&path).unwrap());
    one.save((1..=200).map(new_run).collect()).await.unwrap();
    let claim = |repository: SqliteRepository| async move {
        let mut all = Vec::new();
        loop {
            let claims = claim(&repository, request(7, NOW)).await;
            if claims.is_empty() {
                return all;
            }
            all.extend(claims.into_iter().map(|claim| claim.stored.run.id));
        }
    };
    let (ours, theirs) = tokio::join!(tokio::spawn(claim(one)), tokio::spawn(claim(two)));
    let mut all = [ours.unwrap(), theirs.unwrap()].concat();
    all.sort();
    assert_eq!(all, (1..=200).map(run_id).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_another_repository_saves_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("runs.db");
    let (one, two) = (SqliteRepository::open(&path).unwrap(), SqliteRepository::open(&path).unwrap());
    let waiting = tokio::spawn(async move { one.changed().await });
    two.save(vec![new_run(1)]).await.unwrap();
    tokio::time::timeout(LONG, waiting).await.expect("it is told").unwrap();
}

#[tokio::test]
async fn what_comes_between_two_calls_is_told() {
    let repository = SqliteRepository::open_in_memory().unwrap();
    for n in 1..4 {
        repository.save(vec![new_run(n)]).await.unwrap();
        tokio::time::timeout(LONG, repository.changed()).await.expect("it is told");
    }
}

#[tokio::test]
async fn nothing_is_told_when_nothing_came() {
    let repository = SqliteRepository::open_in_memory().unwrap();
    repository.save(vec![new_run(1)]).await.unwrap();
    repository.changed().await;
    claim(&repository, request(1, NOW)).await;
    let more = tokio::time::timeout(Duration::from_millis(50), repository.changed()).await;
    assert!(more.is_err(), "a claim makes nothing due");
}

/// Returns once it is told, and then until nothing is told any more.
async fn until_quiet(repository: &SqliteRepository) {
    tokio::time::timeout(LONG, repository.changed()).await.expect("it is told");
    let began = Instant::now();
    while tokio::time::timeout(QUIET, repository.changed()).await.is_ok() {
        assert!(began.elapsed() < LONG, "something is told all the time");
    }
}

/// Longer than a change takes to be told, and than the time between two looks at what is not told by the system.
const QUIET: Duration = Duration::from_millis(1_300);

#[tokio::test]
async fn one_s_own_write_is_told_once() {
    let directory = tempfile::tempdir().unwrap();
    let repository = SqliteRepository::open(directory.path().join("runs.db")).unwrap();
    repository.save(vec![new_run(1)]).await.unwrap();
    tokio::time::timeout(LONG, repository.changed()).await.expect("it is told");
    let more = tokio::time::timeout(QUIET, repository.changed()).await;
    assert!(more.is_err(), "the file's watch told what was told already");
}

#[tokio::test]
async fn what_makes_nothing_due_wakes_no_other_repository() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("runs.db");
    let (one, two) = (SqliteRepository::open(&path).unwrap(), SqliteRepository::open(&path).unwrap());
    one.save((1..=3).map(new_run).collect()).await.unwrap();
    until_quiet(&two).await;
    let claim = claim(&one, request(3, NOW)).await.remove(0);
    let run = claim.stored.run;
    let lease = Lease::new(request(1, NOW).holder, NOW, LONG);
    let renewal = Update::new(run.id, Guard::Held(run.epoch, lease.holder), Hold::Claim(lease), NOW);
    let answers = one.update(vec![renewal].into()).await.unwrap();
    assert!(matches!(answers[0], Answer::Applied { .. }));
    let more = tokio::time::timeout(QUIET, two.changed()).await;
    assert!(more.is_err(), "neither a claim nor a renewal makes something due");
}

#[tokio::test]
async fn what_another_repository_saves_is_told_again_and_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("runs.db");
    let (one, two) = (SqliteRepository::open(&path).unwrap(), SqliteRepository::open(&path).unwrap());
    let mut took = Vec::new();
    for n in 1..=20 {
        let waiting = tokio::spawn({
            let one = one.clone();
            async move { one.changed().await }
        });
        two.save(vec![new_run(n)]).await.unwrap();
        let saved = Instant::now();
        tokio::time::timeout(LONG, waiting).await.expect("it is told").unwrap();
        took.push(saved.elapsed());
        // A claim that follows the hint finds what caused it.
        assert_eq!(claim(&one, request(1, NOW)).await.len(), 1);
    }
    took.sort();
    say(&format!("told after {:?} in the middle, {:?} at most", took[took.len() / 2], took[took.len() - 1]));
}

#[tokio::test]
async fn a_write_waits_for_another_program() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("runs.db");
    let repository = SqliteRepository::open(&path).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let saving = repository.clone();
    let saved = tokio::spawn(async move { saving.save(vec![new_run(1)]).await });
    assert_eq!(repository.get(run_id(1), Part::Row).await.unwrap(), None, "a read does not wait");
    assert!(!saved.is_finished());
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(saved.await.unwrap().unwrap(), [Saved::New]);
}

#[tokio::test]
async fn a_write_that_waited_long_enough_says_so_and_can_be_made_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("runs.db");
    let repository = SqliteRepository::builder(&path).lock_wait(Duration::ZERO).open().unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = repository.save(vec![new_run(1)]).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(error.to_string().contains("holds the file"), "{error}");
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(repository.save(vec![new_run(1)]).await.unwrap(), [Saved::New]);
}

#[tokio::test]
async fn the_log_stays_short_under_load() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("runs.db");
    let repository = SqliteRepository::open(&path).unwrap();
    let input = Text::from(format!("\"{}\"", "x".repeat(100_000)));
    for n in 0..100 {
        let runs = (1..=10).map(|k| NewRun { input: input.clone(), ..new_run(n * 10 + k) });
        repository.save(runs.collect()).await.unwrap();
    }
    let log = directory.path().join("runs.db-wal").metadata().unwrap().len();
    assert!(log < 40 << 20, "100 MB were written, and the log has {log} bytes");
}
