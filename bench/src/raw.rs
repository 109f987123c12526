use std::error::Error;
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior, params};

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE runs (id INTEGER PRIMARY KEY, status TEXT NOT NULL, input TEXT NOT NULL, output TEXT) STRICT;
    CREATE TABLE records (
        run INTEGER NOT NULL, position INTEGER NOT NULL, status TEXT NOT NULL, output TEXT,
        PRIMARY KEY (run, position)
    ) STRICT, WITHOUT ROWID;
";

/// A bare loop without any engine that does what a simple one would: it commits each step's start and each step's end
/// by itself, six commits a run.
pub(crate) fn single(runs: usize) -> Result<Duration, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let mut connection = Connection::open(folder.path().join("raw.db"))?;
    connection.execute_batch(SCHEMA)?;
    insert(&mut connection, runs)?;
    let began = Instant::now();
    for run in 0..runs {
        for position in 0..3 {
            start(&mut connection, run, position)?;
            end(&mut connection, run, position)?;
        }
    }
    Ok(began.elapsed())
}

fn insert(connection: &mut Connection, runs: usize) -> rusqlite::Result<()> {
    let input = r#"{"number":4711,"customer":"customer-0815","note":"leave it at the neighbour's"}"#;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for run in 0..runs {
        let mut insert = transaction.prepare_cached("INSERT INTO runs VALUES (?1, 'created', ?2, NULL)")?;
        insert.execute(params![run as i64, input])?;
    }
    transaction.commit()
}

fn start(connection: &mut Connection, run: usize, position: usize) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction
        .prepare_cached("INSERT INTO records VALUES (?1, ?2, 'pending', NULL)")?
        .execute(params![run as i64, position as i64])?;
    if position == 0 {
        let mut begin = transaction.prepare_cached("UPDATE runs SET status = 'pending' WHERE id = ?1")?;
        begin.execute(params![run as i64])?;
    }
    transaction.commit()
}

fn end(connection: &mut Connection, run: usize, position: usize) -> rusqlite::Result<()> {
    let output = r#"{"number":4711,"ok":true}"#;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction
        .prepare_cached(
            "UPDATE records SET status = 'finished', output = ?3 WHERE run = ?1 AND position = ?2",
        )?
        .execute(params![run as i64, position as i64, output])?;
    if position == 2 {
        let mut finish =
            transaction.prepare_cached("UPDATE runs SET status = 'finished', output = ?2 WHERE id = ?1")?;
        finish.execute(params![run as i64, output])?;
    }
    transaction.commit()
}
