//! The queue of those who write to one file: who came first writes first, nobody starves, and who does not move is passed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(unix)]

mod common;
#[path = "common/child.rs"]
mod child;

use std::fs::{File, TryLockError};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use child::{Child, file_of_child, tell};
use common::{new_run, run_id};
use prorch_core::repository::*;
use prorch_sqlite::SqliteRepository;
use prorch_testkit::soak::{pick, say};
use rusqlite::Connection;

/// Longer than anything in here takes.
const LONG: Duration = Duration::from_secs(30);

/// Held by a test that keeps the disk busy.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// One of the lock files beside the database.
fn lock_file(database: &Path, suffix: &str) -> File {
    let name = format!("{}{suffix}", database.display());
    File::options().write(true).create(true).truncate(false).open(name).unwrap()
}

async fn until_locked(file: &File) {
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => file.unlock().unwrap(),
            Err(TryLockError::WouldBlock) => return,
            Err(TryLockError::Error(error)) => panic!("{error}"),
        }
        assert!(began.elapsed() < LONG, "nobody stands in line");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn who_came_first_writes_first() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("runs.db");
    let (one, two) = (SqliteRepository::open(&path).unwrap(), SqliteRepository::open(&path).unwrap());
    let order = Connection::open(&path).unwrap();
    for n in (1..=20).step_by(2) {
        let (turn, next) = (lock_file(&path, "-turn"), lock_file(&path, "-next"));
        turn.lock().unwrap();
        let first = tokio::spawn({
            let one = one.clone();
            async move { one.save(vec![new_run(n)]).await }
        });
        until_locked(&next).await;
        let second = tokio::spawn({
            let two = two.clone();
            async move { two.save(vec![new_run(n + 1)]).await }
        });
        turn.unlock().unwrap();
        first.await.unwrap().unwrap();
        second.await.unwrap().unwrap();
        let row = |n| {
            let sql = "SELECT run FROM runs WHERE id = ?1";
            order.query_row(sql, [run_id(n).as_bytes()], |row| row.get::<_, i64>(0)).unwrap()
        };
        assert!(row(n) < row(n + 1), "the second overtook the first");
    }
}

#[tokio::test]
async fn who_stands_in_line_and_does_not_move_is_passed() {
    for suffix in ["-next", "-turn"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("runs.db");
        let repository = SqliteRepository::open(&path).unwrap();
        let frozen = lock_file(&path, suffix);
        frozen.lock().unwrap();
        let began = Instant::now();
        for n in 1..=50 {
            let saved = tokio::time::timeout(LONG, repository.save(vec![new_run(n)])).await;
            assert_eq!(saved.expect("it goes on without its turn").unwrap(), [Saved::New]);
        }
        assert!(began.elapsed() < Duration::from_secs(25), "it is waited for once, not every time");
        frozen.unlock().unwrap();
        // Whoever waited for it in vain lets go at once of what it got too late, and lines up again.
        let (turn, next) = (lock_file(&path, "-turn"), lock_file(&path, "-next"));
        tokio::time::timeout(LONG, async {
            while turn.try_lock().is_err() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await
        .expect("a turn that nobody wants any more is given back");
        let saving = tokio::spawn(async move { repository.save(vec![new_run(51)]).await });
        until_locked(&next).await;
        turn.unlock().unwrap();
        assert_eq!(saving.await.unwrap().unwrap(), [Saved::New]);
    }
}

/// How long the writers write.
fn span() -> Duration {
    pick(Duration::from_secs(2), Duration::from_secs(20))
}

/// Writes single runs, several at a time so that one always waits, and tells how many it wrote and the longest wait.
async fn write_all_the_time(path: &Path) {
    let repository = SqliteRepository::open(path).unwrap();
    let callers: Vec<_> = (0..3).map(|_| tokio::spawn(write_for(repository.clone(), span()))).collect();
    let mut waits = Vec::new();
    for caller in callers {
        waits.extend(caller.await.unwrap());
    }
    tell(&format!("{} {}", waits.len(), waits.iter().max().unwrap().as_millis()));
}

async fn write_for(repository: SqliteRepository, span: Duration) -> Vec<Duration> {
    let (mut waits, end) = (Vec::new(), Instant::now() + span);
    while Instant::now() < end {
        let began = Instant::now();
        let id = RunId::from_uuid(uuid::Uuid::now_v7());
        repository.save(vec![NewRun { id, ..new_run(1) }]).await.unwrap();
        waits.push(began.elapsed());
    }
    waits
}

/// A writer's number of runs, and its longest wait.
fn result(mut writer: Child) -> (u32, Duration) {
    let told = writer.hear();
    writer.join();
    let (runs, longest) = told.split_once(' ').unwrap();
    (runs.parse().unwrap(), Duration::from_millis(longest.parse().unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_that_write_all_the_time_share_and_let_a_third_in() {
    if let Some(path) = file_of_child() {
        return write_all_the_time(&path).await;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("runs.db");
    let third = SqliteRepository::open(&path).unwrap();
    let test = "two_processes_that_write_all_the_time_share_and_let_a_third_in";
    let _alone = ALONE.lock().await;
    let writers = [0, 1].map(|_| Child::of(test, &path));
    let mut waits = write_for(third, span()).await;
    let writers = tokio::task::spawn_blocking(|| writers.map(result)).await.unwrap();
    let [(one, _), (two, _)] = writers;
    waits.sort();
    let (runs, longest) = (waits.len() as u32, waits[waits.len() - 1]);
    say(&format!("three on one file: {writers:?}; the third {runs} runs, longest wait {longest:?}"));
    assert!(one.min(two) * 3 >= one + two, "the share of the two is {one} to {two}");
    // Each of theirs writes up to three at once.
    assert!(runs * 8 >= one + two, "the third wrote {runs} beside {one} and {two}");
    assert!(longest <= pick(Duration::from_secs(2), Duration::from_millis(250)), "it waited {longest:?}");
}

/// Sends a signal to the child.
fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// Waits a few times longer than one waits in line: what is not done then is kept by somebody who writes.
const FROZEN: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_frozen_keeps_others_waiting_only_while_it_writes() {
    if let Some(path) = file_of_child() {
        tell("writing");
        return drop(write_for(SqliteRepository::open(path).unwrap(), LONG * 20).await);
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("runs.db");
    let repository = SqliteRepository::open(&path).unwrap();
    let test = "a_process_that_is_frozen_keeps_others_waiting_only_while_it_writes";
    let _alone = ALONE.lock().await;
    let mut child = Child::of(test, &path);
    child.hear();
    let (rounds, mut kept) = (pick(4, 40), 0);
    for round in 0..rounds {
        tokio::time::sleep(Duration::from_micros(20_000 + 37 * round)).await;
        signal(&child, "-STOP");
        let saving = repository.clone();
        let mut saved = tokio::spawn(async move { saving.save(vec![new_run(u128::from(round))]).await });
        if tokio::time::timeout(FROZEN, &mut saved).await.is_err() {
            kept += 1;
            let health = repository.health().await;
            let named = format!("process {} holds the file", child.id());
            let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
            let told = health.has(ConcernKind::Blocked) && health.to_string().contains(&named);
            assert!(told, "process {} is frozen: {health}\n{locks}", child.id());
            signal(&child, "-CONT");
            let saved = tokio::time::timeout(LONG, saved).await.expect("it goes on when the other does");
            assert_eq!(saved.unwrap().unwrap(), [Saved::New]);
        } else {
            signal(&child, "-CONT");
        }
        assert!(repository.health().await.is_good());
    }
    say(&format!("frozen {rounds} times, {kept} times while it wrote"));
}
