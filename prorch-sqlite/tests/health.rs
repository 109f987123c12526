//! What is wrong with a file is told by `health()`, with what to do about it, for as long as it is so.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[cfg(unix)]
#[path = "common/child.rs"]
mod child;
#[path = "common/logged.rs"]
mod logged;

use std::path::Path;
use std::time::{Duration, Instant};

use common::{NOW, claim, new_run, request};
use prorch_core::orchestrator::Orchestrator;
use prorch_core::repository::*;
use prorch_sqlite::SqliteRepository;
use prorch_testkit::soak::{pick, say};
use rusqlite::Connection;
use tracing::Level;

/// Longer than anything in here takes.
const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_secs(1);

async fn until(repository: &SqliteRepository, what: &str, holds: impl Fn(&Health) -> bool) -> Health {
    let began = Instant::now();
    loop {
        let health = repository.health().await;
        if holds(&health) {
            return health;
        }
        assert!(began.elapsed() < LONG, "{what}: {health}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn log_of(path: &Path) -> u64 {
    std::fs::metadata(format!("{}-wal", path.display())).unwrap().len()
}

/// A run with a mebibyte of input.
fn large(n: u128) -> NewRun {
    NewRun { input: Text::from(format!("\"{}\"", "x".repeat((1 << 20) - 2))), ..new_run(n) }
}

#[tokio::test]
async fn a_file_that_is_well_says_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let repository = SqliteRepository::open(directory.path().join("runs.db")).unwrap();
    repository.save(vec![new_run(1)]).await.unwrap();
    assert_eq!(repository.health().await, Health::default());
    assert_eq!(SqliteRepository::open_in_memory().unwrap().health().await.to_string(), "all is well");
}

/// How often a long test says how the log is.
const SAY_EVERY: Duration = Duration::from_secs(20);

/// Starts runs, claims them and gives them back for as long as it is polled: some hundred rows at a time.
async fn load(repository: &SqliteRepository, first: u128) {
    for n in (first..).step_by(100) {
        repository.save((n..n + 100).map(new_run).collect()).await.unwrap();
        let claims = claim(repository, request(100, NOW)).await;
        let back = claims.iter().map(|claim| give_back(&claim.stored.run)).collect();
        repository.update(back).await.unwrap();
        tokio::time::sleep(pick(Duration::ZERO, Duration::from_millis(20))).await;
    }
}

fn give_back(run: &Run) -> Update {
    let guard = Guard::Held(run.epoch, request(1, NOW).holder);
    Update::new(run.id, guard, Hold::Release { due_at: None, seen: run.inbox_seq }, NOW)
}

/// Until the log is told to grow, for at least so long, and said so in the log of the program.
async fn until_growing(repository: &SqliteRepository, path: &Path, least: Duration) -> Health {
    let is_logged =
        || logged::was_logged(Level::WARN, &[path.to_str().unwrap(), "somebody reads an old snapshot"]);
    let (began, mut said) = (Instant::now(), Instant::now());
    let mut n = 0;
    loop {
        // One that is large now and then, so that it does not take long until it is time to look at the log.
        if n < 100 {
            n += 1;
            repository.save(vec![large(n)]).await.unwrap();
        }
        let health = repository.health().await;
        let is_growing = health.has(ConcernKind::Growing);
        if is_growing && began.elapsed() >= least && is_logged() {
            return health;
        }
        if said.elapsed() >= SAY_EVERY {
            said = Instant::now();
            say(&format!(
                "read for {:.0?}: the log has {} MiB; {health}",
                began.elapsed(),
                log_of(path) >> 20
            ));
            assert!(is_growing, "a log of {} bytes is told for as long as it grows", log_of(path));
        }
        assert!(began.elapsed() < LONG + least, "{} bytes, and {health}", log_of(path));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_log_that_a_reader_holds_back_is_told_and_emptied_when_it_ends() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("runs.db");
    let repository = SqliteRepository::open(&path).unwrap();
    repository.save(vec![new_run(0)]).await.unwrap();
    let reader = Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM runs").unwrap();
    logged::listen();

    let least = pick(Duration::ZERO, Duration::from_secs(200));
    let health = tokio::select! {
        health = until_growing(&repository, &path, least) => health,
        () = load(&repository, 1 << 20) => unreachable!("it has no end"),
    };
    let held = log_of(&path);
    say(&format!("held back by a reader under load: the log has {} MiB; {health}", held >> 20));
    assert!(held > 64 << 20);
    let text = health.to_string();
    assert!(text.contains("runs.db") && text.contains(" MiB and can't be emptied since"), "{text}");
    assert!(text.contains("end the transaction or the program that does"), "{text}");

    reader.execute_batch("COMMIT").unwrap();
    // Far less than what makes it time to look at the log of a file that is well.
    for n in 1 << 30.. {
        if repository.health().await.is_good() {
            break;
        }
        assert!(n < (1 << 30) + 250, "it can be emptied now");
        repository.save(vec![new_run(n)]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(log_of(&path) < held / 8, "the log has {} bytes", log_of(&path));

    // With nobody who reads it stays short, under the same load.
    let for_a_while = tokio::time::timeout(pick(SHORT, SAY_EVERY), load(&repository, 1 << 40)).await;
    assert!(for_a_while.is_err(), "the load has no end");
    say(&format!("after that, under the same load, it has {} MiB", log_of(&path) >> 20));
    assert!(log_of(&path) < 80 << 20, "the log has {} bytes", log_of(&path));
    assert!(repository.health().await.is_good());
}

#[cfg(unix)]
mod with_children {
    use std::process::Command;

    use super::child::{Child, file_of_child, tell, wait_for_nudge};
    use super::*;

    #[tokio::test]
    async fn who_keeps_the_file_is_named_and_waited_for_without_an_error() {
        if let Some(path) = file_of_child() {
            let other = Connection::open(path).unwrap();
            other.execute_batch("BEGIN IMMEDIATE").unwrap();
            tell("it is mine");
            return wait_for_nudge();
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("runs.db");
        let repository = SqliteRepository::open(&path).unwrap();
        logged::listen();
        let test = "with_children::who_keeps_the_file_is_named_and_waited_for_without_an_error";
        let mut child = Child::of(test, &path);
        assert_eq!(child.hear(), "it is mine");
        let saving = tokio::spawn({
            let repository = repository.clone();
            async move { repository.save(vec![new_run(1)]).await }
        });
        let health =
            until(&repository, "it is kept from it", |health| health.has(ConcernKind::Blocked)).await;
        if cfg!(target_os = "linux") {
            let named = format!("process {} holds the file", child.id());
            assert!(health.to_string().contains(&named), "{health}");
            until(&repository, "the log names it too", |_| logged::was_logged(Level::WARN, &[&named])).await;
        }
        let orchestrator = Orchestrator::builder(repository.clone()).build().unwrap();
        assert!(orchestrator.health().await.has(ConcernKind::Blocked));
        assert!(!saving.is_finished());
        // One that opens the file meanwhile has nothing to wait for before it writes.
        drop(SqliteRepository::open(&path).unwrap());
        child.nudge();
        child.join();
        assert_eq!(saving.await.unwrap().unwrap(), [Saved::New]);
        assert!(repository.health().await.is_good());
    }

    /// A process that has a small disk of its own at the directory of `path`, in a view of the file system that ends
    /// with it. None where the system does not let this user have one; the long form wants it.
    fn with_small_disk(test: &str, path: &Path) -> Option<Child> {
        const MOUNT: &str = r#"mount -t tmpfs -o size=3m tmpfs "$0" && exec "$@""#;
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--map-root-user", "sh", "-c", MOUNT]).arg(path.parent().unwrap());
        let allowed = Command::new("unshare").args(["--mount", "--map-root-user", "true"]).status();
        if !allowed.is_ok_and(|status| status.success()) {
            assert!(!pick(false, true), "this user can't mount a disk for a test");
            tell("no small disk for this user: not tested here");
            return None;
        }
        unshare.arg(std::env::current_exe().unwrap());
        Some(Child::by(unshare, test, path))
    }

    #[tokio::test]
    async fn a_full_disk_is_told_at_once_and_gone_when_there_is_room() {
        if let Some(path) = file_of_child() {
            return fill(&path).await;
        }
        let directory = tempfile::tempdir().unwrap();
        let test = "with_children::a_full_disk_is_told_at_once_and_gone_when_there_is_room";
        if let Some(child) = with_small_disk(test, &directory.path().join("runs.db")) {
            child.join();
        }
    }

    async fn fill(path: &Path) {
        let ballast = path.with_file_name("ballast");
        std::fs::write(&ballast, vec![0; 2 << 20]).unwrap();
        logged::listen();
        let repository = SqliteRepository::open(path).unwrap();
        let mut kept = Vec::new();
        let error = loop {
            let n = 1 + kept.len() as u128;
            match repository
                .save(vec![NewRun { input: Text::from(format!("\"{}\"", "x".repeat(50_000))), ..new_run(n) }])
                .await
            {
                Ok(_) => kept.push(n),
                Err(error) => break error,
            }
        };
        assert!(!kept.is_empty(), "there was no room from the start");
        assert!(error.is_transient() || error.is_ambiguous(), "{error}");
        assert!(error.to_string().contains("make room, and it goes on"), "{error}");
        let health = repository.health().await;
        let text = health.to_string();
        assert!(health.has(ConcernKind::NoSpace), "{text}");
        assert!(text.contains("no room on the disk for") && text.contains("runs.db"), "{text}");
        assert!(logged::was_logged(Level::ERROR, &["runs.db", "the disk is full: make room"]));

        std::fs::remove_file(ballast).unwrap();
        assert_eq!(repository.save(vec![new_run(1_000)]).await.unwrap(), [Saved::New]);
        assert!(repository.health().await.is_good());
        for n in kept {
            let stored = repository.get(common::run_id(n), Part::Row).await.unwrap();
            assert!(stored.is_some(), "{n} was answered");
        }
    }

    #[test]
    fn a_disk_that_is_mounted_for_reading_is_said_to_be_one() {
        if let Some(path) = file_of_child() {
            return open_read_only(&path);
        }
        let directory = tempfile::tempdir().unwrap();
        let test = "with_children::a_disk_that_is_mounted_for_reading_is_said_to_be_one";
        if let Some(child) = with_small_disk(test, &directory.path().join("runs.db")) {
            child.join();
        }
    }

    fn open_read_only(path: &Path) {
        drop(SqliteRepository::open(path).unwrap());
        let mounted = Command::new("mount").args(["-o", "remount,ro"]).arg(path.parent().unwrap()).status();
        assert!(mounted.unwrap().success());
        for (name, wanted) in [
            ("runs.db", "can only be read: give this program the right"),
            ("new.db", "new.db can't be opened"),
        ] {
            let error = SqliteRepository::open(path.with_file_name(name)).unwrap_err();
            assert!(error.is_broken(), "{error}");
            let text = error.to_string();
            assert!(text.contains(wanted) && text.contains("writ"), "{text}");
        }
    }
}
