//! Opening: what is refused says what to do, and two who open a new file at once do not get in each other's way.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::path::Path;
use std::sync::Barrier;
use std::time::Duration;

use common::{new_run, run_id};
use prorch_core::repository::{Part, Repository, Saved, StoreErrorKind};
use prorch_sqlite::{Durability, SqliteRepository};
use rusqlite::Connection;

/// The text of the error, of which nobody can do anything with this file from here.
fn refusal(path: &Path) -> String {
    let error = SqliteRepository::open(path).expect_err("it is refused");
    assert_eq!(error.kind(), StoreErrorKind::Broken, "{error}");
    error.to_string()
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let text = refusal(&directory.path().join("missing/runs.db"));
    assert!(text.contains("missing is not there: create it first"), "{text}");
}

#[test]
fn a_directory_is_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let text = refusal(directory.path());
    assert!(text.contains("is a directory: name a file in it"), "{text}");
}

#[test]
fn a_file_that_is_no_database_is_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("letter.txt");
    let letter = "Dear reader, this is no database at all. ".repeat(100);
    std::fs::write(&path, &letter).unwrap();
    let text = refusal(&path);
    assert!(text.contains("no SQLite database: name another file"), "{text}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), letter);
}

#[test]
fn a_database_of_another_program_is_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("other.db");
    let other = Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE notes (text TEXT)").unwrap();
    let text = refusal(&path);
    assert!(text.contains("another program: name a file that prorch has to itself"), "{text}");
    let tables: i64 = other.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    assert_eq!(tables, 1);
}

#[test]
fn a_newer_schema_asks_for_a_newer_program() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("runs.db");
    drop(SqliteRepository::open(&path).unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let text = refusal(&path);
    assert!(
        text.contains("newer prorch (its schema is number 99") && text.contains("update this program"),
        "{text}"
    );
}

#[test]
fn a_schema_that_somebody_changed_is_found_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("runs.db");
    drop(SqliteRepository::open(&path).unwrap());
    Connection::open(&path).unwrap().execute_batch("DROP INDEX runs_due").unwrap();
    let text = refusal(&path);
    assert!(text.contains("runs_due") && text.contains("put a copy that is whole in its place"), "{text}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_place_where_nothing_can_be_written_is_said_to_be_one() {
    let text = refusal(Path::new("/proc/prorch.db"));
    assert!(text.contains("/proc/prorch.db") && text.contains("must be there and writable"), "{text}");
}

#[test]
fn a_file_that_another_program_has_to_itself_is_asked_for_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("runs.db");
    drop(SqliteRepository::open(&path).unwrap());
    let other = Connection::open(&path).unwrap();
    other.pragma_update(None, "locking_mode", "exclusive").unwrap();
    other.execute_batch("BEGIN IMMEDIATE; CREATE TABLE more (text TEXT); ROLLBACK").unwrap();
    let open = || SqliteRepository::builder(&path).lock_wait(Duration::ZERO).open();
    let error = open().expect_err("it is locked");
    assert!(error.is_transient(), "{error}");
    let text = error.to_string();
    assert!(text.contains("runs.db can't be opened") && text.contains("holds the file"), "{text}");
    assert!(text.contains("end its transaction, or the process if it does not move"), "{text}");
    if cfg!(target_os = "linux") {
        assert!(text.contains(&format!("process {} ", std::process::id())), "{text}");
    }
    drop(other);
    open().expect("nobody holds it any more");
}

#[test]
fn a_lock_file_that_can_t_be_made_is_named() {
    for suffix in ["-next", "-turn", "-told"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("runs.db");
        // A directory, since a right that is missing does not keep every user out.
        std::fs::create_dir(directory.path().join(format!("runs.db{suffix}"))).unwrap();
        let text = refusal(&path);
        assert!(text.contains(&format!("runs.db{suffix}")), "{text}");
        assert!(text.contains("what prorch made in there, must be writable"), "{text}");
    }
}

#[test]
fn memory_has_a_call_of_its_own() {
    for path in ["", ":memory:"] {
        assert!(refusal(Path::new(path)).contains("open_in_memory"));
    }
}

#[tokio::test]
async fn many_open_a_new_file_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("runs.db");
    let start = Barrier::new(8);
    let opened: Vec<_> = std::thread::scope(|scope| {
        let open = || {
            start.wait();
            SqliteRepository::open(&path).unwrap()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (n, repository) in (1..).zip(&opened) {
        assert_eq!(repository.save(vec![new_run(n)]).await.unwrap(), [Saved::New]);
        assert_eq!(repository.save(vec![new_run(1)]).await.unwrap(), [Saved::Known(run_id(1))]);
    }
    for n in 1..=8 {
        assert!(opened[0].get(run_id(n), Part::Row).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn the_file_is_closed_and_tidy_when_the_last_clone_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("runs.db");
    let repository = SqliteRepository::open(&path).unwrap();
    let clone = repository.clone();
    repository.save(vec![new_run(1)]).await.unwrap();
    drop(repository);
    assert!(clone.get(run_id(1), Part::Row).await.unwrap().is_some(), "one clone is enough");
    drop(clone);
    let mut names: Vec<_> =
        directory.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(
        names,
        ["runs.db", "runs.db-next", "runs.db-told", "runs.db-turn"],
        "nothing is left in a log"
    );
}

#[tokio::test]
async fn less_durability_keeps_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("runs.db");
    let builder = SqliteRepository::builder(&path).durability(Durability::ProcessCrash).readers(0);
    let repository = builder.open().unwrap();
    repository.save(vec![new_run(1)]).await.unwrap();
    drop(repository);
    let again = SqliteRepository::open(&path).unwrap();
    assert!(again.get(run_id(1), Part::Row).await.unwrap().is_some());
}

#[test]
fn a_repository_needs_no_runtime_of_a_kind() {
    let repository = SqliteRepository::open_in_memory().unwrap();
    for _ in 0..2 {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(repository.save(vec![new_run(1)])).unwrap();
    }
}
