//! A file of the first schema is brought to the newest, and what stands in it goes on.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::path::{Path, PathBuf};
use std::sync::Barrier;

use common::{NOW, later, request, run_id};
use prorch_core::repository::*;
use prorch_sqlite::SqliteRepository;
use rusqlite::Connection;
use tempfile::TempDir;

const VERSION_1: &str = include_str!("fixtures/version_1.sql");

/// A file of the first schema with the runs 1 to 4, in which somebody did `edit`.
fn old_file(edit: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("runs.db");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(VERSION_1).unwrap();
    old.execute_batch("PRAGMA ignore_check_constraints = ON").unwrap();
    old.execute_batch(edit).unwrap();
    (directory, path)
}

fn definition() -> Definition {
    Definition { pipeline: Text::from("backup"), fingerprint: (-5_i64).cast_unsigned() }
}

fn due(now: Timestamp) -> ClaimRequest {
    ClaimRequest { definitions: [definition()].into(), ..request(9, now) }
}

fn micros(after: i64) -> Timestamp {
    Timestamp::from_micros(NOW.as_micros() + after)
}

async fn stored(repository: &SqliteRepository, n: u128) -> StoredRun {
    repository.get(run_id(n), Part::Work).await.unwrap().unwrap()
}

#[tokio::test]
async fn every_run_is_what_it_was() {
    let (_directory, path) = old_file("");
    let repository = SqliteRepository::open(path).unwrap();
    let new = NewRun {
        key: Some(Text::from("order-1")),
        priority: 2,
        metadata: [("a".to_owned(), 1.5.into())].into(),
        due_at: later(60),
        ..NewRun::new(run_id(1), definition(), Text::from("{}"), NOW)
    };
    assert_eq!(stored(&repository, 1).await.run, Run::new(new));

    let waiting = stored(&repository, 2).await;
    assert_eq!(
        (waiting.run.input.as_str(), waiting.run.epoch, waiting.run.inbox_seq),
        ("\"it's\"", Epoch(3), 2)
    );
    assert_eq!((waiting.run.parent, waiting.run.state.fan), (None, None));
    let first = StepRecord {
        status: Status::Finished,
        output: Some(Text::from("\"/tmp/dump\"")),
        due_at: None,
        progress: Some(StepProgress { done: 3, total: 3 }),
        metadata: [("host".to_owned(), "a".into())].into(),
        ended_at: Some(micros(2)),
        ..StepRecord::new(Position::default(), Text::from("dump"), micros(1))
    };
    let second = StepRecord {
        status: Status::Pending,
        state: Some(Text::from("{\"asked\":true}")),
        due_at: None,
        awaits: Some(Text::from("go")),
        ..StepRecord::new(Position::of_stage(1), Text::from("approve"), micros(2))
    };
    assert_eq!(waiting.records.into_values().collect::<Vec<_>>(), [first, second]);
    let signal = Mail::Signal { name: Text::from("go"), payload: Text::from("{\"by\":\"me\"}") };
    let signal = Message::new(MessageId::from_bytes(0x12_u128.to_be_bytes()), signal, micros(4));
    assert_eq!(waiting.inbox, [Message { seq: 2, ..signal }]);

    let cause = Cause {
        step: Some(Text::from("dump")),
        kind: CauseKind::Error,
        text: Text::from("the disk is full"),
    };
    assert_eq!(stored(&repository, 3).await.run.state.cause, Some(cause));
    let held = stored(&repository, 4).await.run;
    assert_eq!((held.epoch, held.state.crashes, held.due_at), (Epoch(7), 1, Some(later(30))));
    assert_eq!(held.lease.map(|lease| lease.holder), Some(WorkerId::from_bytes([8; 16])));
}

#[tokio::test]
async fn the_runs_go_on_and_can_do_what_is_new() {
    let (_directory, path) = old_file("");
    let repository = SqliteRepository::open(&path).unwrap();
    let claims = repository.claim(&due(NOW)).await.unwrap();
    assert_eq!(claims.iter().map(|claim| claim.stored.run.id).collect::<Vec<_>>(), [run_id(2)]);
    let stored_run = &claims[0].stored;
    let run = &stored_run.run;
    let position = Position { stage: 2, item: 1 };
    let child = Child { run: run_id(20), generation: 0 };
    let record = StepRecord { child: Some(child), ..StepRecord::new(position, Text::from("send"), NOW) };
    let fan = Some(Fan { stage: 2, width: Some(9), entered: 2, finished: 1, low: 1 });
    let cause = Cause { step: None, kind: CauseKind::Child, text: Text::from("run 20 failed") };
    let ended = Mail::Ended { position, child: run_id(20), status: Status::Failed, reason: None };
    let parent = Some(Parent { run: run.id, position });
    let update = Update {
        state: Some(RunState { fan, cause: Some(cause.clone()), ..run.state.clone() }),
        records: vec![RecordWrite::New(record.clone())],
        taken: stored_run.inbox.iter().map(|message| message.id).collect(),
        starts: vec![NewRun { parent, ..NewRun::new(child.run, definition(), Text::from("1"), NOW) }],
        posts: vec![Post {
            to: run.id,
            message: Message::new(MessageId::from_bytes([5; 16]), ended.clone(), NOW),
        }],
        ..Update::new(run.id, Guard::Held(run.epoch, due(NOW).holder), Hold::Keep, NOW)
    };
    assert_eq!(repository.update(vec![update].into()).await.unwrap(), [Answer::Applied { inbox_seq: 3 }]);
    drop(repository);

    let again = SqliteRepository::open(&path).unwrap();
    let after = stored(&again, 2).await;
    assert_eq!((after.run.state.fan, after.run.state.cause), (fan, Some(cause)));
    assert_eq!(after.records.into_values().next_back(), Some(record));
    assert_eq!(after.inbox.into_iter().map(|message| message.mail).collect::<Vec<_>>(), [ended]);
    assert_eq!(stored(&again, 20).await.run.parent, parent);
    let twice = again.save(vec![NewRun {
        key: Some(Text::from("order-1")),
        ..NewRun::new(run_id(30), definition(), Text::from("1"), NOW)
    }]);
    assert_eq!(twice.await.unwrap(), [Saved::Known(run_id(1))], "a key stays taken");
}

/// What the tables and indexes are, by their names.
fn schema(path: &Path) -> Vec<(String, String)> {
    let connection = Connection::open(path).unwrap();
    let mut statement = connection
        .prepare("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
        .unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[test]
fn an_old_file_becomes_what_a_new_one_is() {
    let (directory, path) = old_file("");
    drop(SqliteRepository::open(&path).unwrap());
    let new = directory.path().join("new.db");
    drop(SqliteRepository::open(&new).unwrap());
    assert_eq!(schema(&path), schema(&new));
    let check: String =
        Connection::open(&path).unwrap().query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}

/// What a repository says to a state that its table does not take.
async fn refused(repository: &SqliteRepository, n: u128) -> String {
    let run = stored(repository, n).await.run;
    let fan = Some(Fan { stage: 0, width: None, entered: 1, finished: 2, low: 0 });
    let update = Update {
        state: Some(RunState { fan, ..run.state }),
        ..Update::new(run.id, Guard::Held(run.epoch, due(NOW).holder), Hold::Keep, NOW)
    };
    let answers = repository.update(vec![update].into()).await.unwrap();
    let [Answer::Rejected(why)] = &answers[..] else { panic!("{answers:?}") };
    why.to_string()
}

#[tokio::test]
async fn a_row_that_somebody_broke_is_still_named_and_in_nobodys_way() {
    let (_directory, path) = old_file("UPDATE runs SET status = 77 WHERE run = 1");
    let repository = SqliteRepository::open(&path).unwrap();
    let error = repository.get(run_id(1), Part::Row).await.unwrap_err();
    assert!(error.to_string().contains("runs.status"), "{error}");
    assert_eq!(repository.claim(&due(NOW)).await.unwrap().len(), 1);
    let error = refused(&repository, 2).await;
    assert!(error.contains("CHECK"), "the rules hold again: {error}");
}

#[test]
fn one_that_cannot_be_brought_up_stays_as_it_was() {
    let (_directory, path) = old_file("CREATE TABLE messages_2 (foreign_to TEXT)");
    let before = schema(&path);
    let error = SqliteRepository::open(&path).expect_err("a table is in the way");
    assert!(error.to_string().contains("messages_2"), "{error}");
    assert_eq!(schema(&path), before);
    let old = Connection::open(&path).unwrap();
    let version: i64 = old.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    let runs: i64 = old.query_row("SELECT count(*) FROM runs", [], |row| row.get(0)).unwrap();
    assert_eq!((version, runs), (1, 4));
}

#[tokio::test]
async fn of_many_that_open_an_old_file_at_once_one_brings_it_up() {
    let (_directory, path) = old_file("");
    let start = Barrier::new(6);
    let opened: Vec<_> = std::thread::scope(|scope| {
        let open = || {
            start.wait();
            SqliteRepository::open(&path).unwrap()
        };
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for repository in &opened {
        assert_eq!(stored(repository, 4).await.run.epoch, Epoch(7));
    }
}
