//! Rows that somebody edited by hand: left and named, never lost and in nobody's way.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{NOW, claim, later, new_run, request, run_id};
use prorch_core::repository::*;
use prorch_sqlite::SqliteRepository;
use rusqlite::Connection;
use tempfile::TempDir;

/// A file with the runs 1 to `runs`, in which somebody did `edit`.
async fn edited(runs: u128, edit: &str) -> (TempDir, SqliteRepository, Connection) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("runs.db");
    let repository = SqliteRepository::open(&path).unwrap();
    repository.save((1..=runs).map(new_run).collect()).await.unwrap();
    let hand = Connection::open(&path).unwrap();
    hand.execute_batch("PRAGMA ignore_check_constraints = ON").unwrap();
    hand.execute_batch(edit).unwrap();
    (directory, repository, hand)
}

fn claimed(claims: &[Claim]) -> Vec<RunId> {
    claims.iter().map(|claim| claim.stored.run.id).collect()
}

/// Each breaks run 1 in another column.
const EDITS: [(&str, &str); 23] = [
    ("UPDATE runs SET metadata = '{oh' WHERE run = 1", "runs.metadata"),
    ("UPDATE runs SET status = 77 WHERE run = 1", "runs.status"),
    ("UPDATE runs SET definition = 99, definition = 1, cause_kind = 9 WHERE run = 1", "runs.cause_kind"),
    ("UPDATE runs SET holder = x'07', lease_length = 5, due_at = 5 WHERE run = 1", "runs.holder"),
    ("UPDATE runs SET input = CAST(x'ff' AS TEXT) WHERE run = 1", "runs.input"),
    ("UPDATE runs SET paused = 0, key = CAST(x'ff' AS TEXT) WHERE run = 1", "runs.key"),
    (
        "UPDATE runs SET epoch = 1 WHERE run = 1;
         INSERT INTO records (run, position, name, status, resumable, attempt, errors, entered_at)
         VALUES (1, 0, 'dump', 9, 0, 1, 0, 0)",
        "records.status",
    ),
    (
        "UPDATE runs SET inbox_seq = 1 WHERE run = 1;
         INSERT INTO messages (run, id, seq, at, kind) VALUES (1, zeroblob(16), 1, 0, 9)",
        "messages.kind",
    ),
    ("UPDATE runs SET fan_stage = 1, fan_entered = 2, fan_finished = 1 WHERE run = 1", "runs.fan_low"),
    ("UPDATE runs SET input = NULL WHERE run = 1", "runs.input"),
    ("UPDATE runs SET undo = '{}' WHERE run = 1", "runs.undo"),
    (
        "UPDATE runs SET epoch = 1 WHERE run = 1;
         INSERT INTO records (run, position, name, status, resumable, attempt, errors, entered_at, undo)
         VALUES (1, 0, 'dump', 1, 0, 1, 0, 0, '{oh')",
        "records.undo",
    ),
    ("UPDATE runs SET fan_stage = -1 WHERE run = 1", "runs.fan_stage"),
    (
        "UPDATE runs SET fan_stage = 1, fan_width = -1, fan_entered = 0, fan_finished = 0, fan_low = 0 WHERE run = 1",
        "runs.fan_width",
    ),
    ("UPDATE runs SET fan_stage = 1, fan_entered = -1, fan_finished = 0, fan_low = 0 WHERE run = 1", "runs.fan_entered"),
    ("UPDATE runs SET fan_stage = 1, fan_entered = 0, fan_finished = 1 << 40, fan_low = 0 WHERE run = 1", "runs.fan_finished"),
    ("UPDATE runs SET parent = x'07', parent_position = 0 WHERE run = 1", "runs.parent"),
    ("UPDATE runs SET parent = zeroblob(16) WHERE run = 1", "runs.parent_position"),
    ("UPDATE runs SET origin = x'07', origin_step = 'dump' WHERE run = 1", "runs.origin"),
    ("UPDATE runs SET origin = zeroblob(16) WHERE run = 1", "runs.origin_step"),
    (
        "UPDATE runs SET epoch = 1 WHERE run = 1;
         INSERT INTO records (run, position, name, status, resumable, attempt, errors, entered_at, child, generation)
         VALUES (1, 0, 'dump', 1, 0, 1, 0, 0, zeroblob(16), -1)",
        "records.generation",
    ),
    (
        "UPDATE runs SET epoch = 1 WHERE run = 1;
         INSERT INTO records (run, position, name, status, resumable, attempt, errors, entered_at, child)
         VALUES (1, 0, 'dump', 1, 0, 1, 0, 0, x'07')",
        "records.child",
    ),
    (
        "UPDATE runs SET inbox_seq = 1 WHERE run = 1;
         INSERT INTO messages (run, id, seq, at, kind) VALUES (1, zeroblob(16), 1, 0, 4)",
        "messages.position",
    ),
];

#[tokio::test]
async fn a_row_that_cannot_be_read_is_named_and_lets_the_others_pass() {
    for (edit, column) in EDITS {
        let (_directory, repository, hand) = edited(3, edit).await;
        let error = repository.get(run_id(1), Part::Work).await.expect_err(column);
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        assert!(error.to_string().contains(column), "{error}");

        let claims = claim(&repository, request(1, NOW)).await;
        assert_eq!(claimed(&claims), [run_id(2)], "{column}: the next in line gets the place");
        let (stuck, due): (String, i64) = hand
            .query_row("SELECT stuck, due_at FROM runs WHERE run = 1", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .unwrap();
        assert!(stuck.contains(column), "{stuck}");
        assert_eq!(due, later(60).as_micros(), "{column}");

        assert_eq!(claimed(&claim(&repository, request(9, NOW)).await), [run_id(3)]);
        let next = repository.outlook(&request(9, NOW)).await.unwrap().due.unwrap();
        assert!(next > NOW, "straight after a claim it lies in the future");
    }
}

#[tokio::test]
async fn a_row_that_was_mended_goes_on() {
    let (_directory, repository, hand) = edited(1, EDITS[0].0).await;
    assert!(claim(&repository, request(9, NOW)).await.is_empty());
    hand.execute_batch("UPDATE runs SET metadata = NULL WHERE run = 1").unwrap();
    let claims = claim(&repository, request(9, later(60))).await;
    assert_eq!(claimed(&claims), [run_id(1)]);
    assert_eq!(claims[0].stored.run.state.stuck, None);
}

#[tokio::test]
async fn a_search_passes_over_it() {
    let (_directory, repository, _hand) = edited(3, EDITS[0].0).await;
    for filter in [Filter::all(), Filter::active().limit(2)] {
        let page = repository.search(&filter).await.unwrap();
        let found: Vec<_> = page.runs.iter().map(|run| run.id).collect();
        assert_eq!(found, [run_id(2), run_id(3)]);
        assert_eq!(page.next, None);
    }
}

#[tokio::test]
async fn a_definition_that_is_gone_is_named() {
    let (_directory, repository, hand) = edited(1, "UPDATE runs SET definition = 99").await;
    let error = repository.get(run_id(1), Part::Row).await.unwrap_err();
    assert!(error.to_string().contains("runs.definition: there is no definition 99"), "{error}");
    drop(hand);
}

/// A thousand updates, and the row of the one at `place` is broken in the file.
async fn one_broken_row(place: usize) {
    let edit = ["UPDATE runs SET status = 77 WHERE run = ", &(place + 1).to_string()].concat();
    let (_directory, repository, hand) = edited(1_000, &edit).await;
    let message = |n: u128| Message::new(MessageId::from_bytes(n.to_be_bytes()), Mail::Resume, NOW);
    let updates: Vec<_> = (1..=1_000).map(|n| Update::post(run_id(n), message(n))).collect();
    let answers = repository.update(updates.into()).await.unwrap();
    for (at, answer) in answers.iter().enumerate() {
        let is_refused = matches!(answer, Answer::Rejected(why) if why.contains("runs.status"));
        assert_eq!(is_refused, at == place, "{answer:?} at {at}");
        assert!(at == place || *answer == Answer::Applied { inbox_seq: 1 }, "{answer:?} at {at}");
    }
    let messages: i64 = hand.query_row("SELECT count(*) FROM messages", [], |row| row.get(0)).unwrap();
    assert_eq!(messages, 999, "what came before is not applied twice, and what comes after is there");
}

#[tokio::test]
async fn an_update_that_cannot_be_written_harms_none_of_its_batch() {
    for place in [0, 500, 999] {
        one_broken_row(place).await;
    }
}

#[tokio::test]
async fn the_tables_refuse_what_no_run_can_be() {
    let (_directory, repository, hand) = edited(1, "PRAGMA ignore_check_constraints = OFF").await;
    for nonsense in [
        "status = 5",
        "status = 2",
        "priority = 10",
        "crashes = -1",
        "holder = zeroblob(16)",
        "holder = zeroblob(16), lease_length = 1, due_at = NULL",
        "id = x'01'",
        "due_at = 'tomorrow'",
        "cause = 'without a kind'",
        "inbox_seq = -1",
        "parent = zeroblob(16)",
        "parent = x'01', parent_position = 0",
        "fan_low = 0",
        "fan_stage = 0, fan_entered = 0, fan_finished = 0",
        "fan_stage = -1, fan_entered = 0, fan_finished = 0, fan_low = 0",
        "fan_stage = 0, fan_entered = 2, fan_finished = 1, fan_low = 2",
        "fan_stage = 0, fan_entered = 2, fan_finished = 3, fan_low = 0",
        "fan_stage = 0, fan_width = 1, fan_entered = 2, fan_finished = 0, fan_low = 0",
    ] {
        let done = hand.execute(&["UPDATE runs SET ", nonsense].concat(), []);
        assert!(done.is_err(), "{nonsense}");
    }
    assert!(repository.get(run_id(1), Part::Row).await.unwrap().is_some());
}
