//! The thread that writes. All that waits is one transaction; nobody is answered before it is committed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prorch_core::repository::{MAX_BATCH_BYTES, MAX_BATCH_ROWS, StoreError};
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use tokio::sync::mpsc::Receiver;

use crate::batch::{Batches, Care, Done, Failure, Request};
use crate::error::{Reach, ambiguous, broken, reach};
use crate::open::{LOCK_PATIENCE, is_busy};
use crate::reader::Read;
use crate::snapshot::Snapshots;
use crate::wal::Wal;
use crate::watch::Changes;

/// What the thread is asked.
#[derive(Debug)]
pub(crate) enum Call {
    Write(Request),
    /// Only of a database in memory, which has no second connection.
    Read(Read),
}

/// What the thread needs beside its connection.
pub(crate) struct Setting {
    pub(crate) calls: Receiver<Call>,
    pub(crate) changes: Arc<Changes>,
    pub(crate) lock_wait: Duration,
    /// The file; none when it is in memory.
    pub(crate) path: Option<PathBuf>,
}

/// Writes until nobody asks any more, or the file can't be used any more.
pub(crate) fn serve(connection: Connection, mut setting: Setting) {
    let Err(why) = write(&connection, &mut setting) else { return };
    tracing::error!(why, "the database is given up: nothing more is written to it by this process");
    // A checkpoint would flush again, and a flush that failed once may say that all is well the second time.
    let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
    drop(connection);
    while let Some(call) = setting.calls.blocking_recv() {
        match call {
            Call::Write(request) => drop(request.reply.send(Err(broken(&why)))),
            Call::Read(read) => read.refuse(&why),
        }
    }
}

fn write(connection: &Connection, setting: &mut Setting) -> Result<(), String> {
    let told = |error: rusqlite::Error| format!("the database can't be used: {error}");
    let patience = setting.lock_wait.min(LOCK_PATIENCE);
    connection.busy_timeout(patience).map_err(told)?;
    let mut writer = Writer {
        connection,
        batches: Batches::prepare(connection).map_err(told)?,
        wal: setting.path.take().map(|path| Wal::of(path, patience)),
        changes: Arc::clone(&setting.changes),
        lock_wait: setting.lock_wait,
    };
    let mut snapshots = Snapshots::prepare(connection).map_err(told)?;
    while let Some(first) = setting.calls.blocking_recv() {
        let (batch, read) = gather(first, &mut setting.calls);
        if !batch.is_empty() {
            writer.write(batch)?;
        }
        if let Some(read) = read {
            read.answer(&mut snapshots);
        }
    }
    Ok(())
}

/// All that waits, up to what one transaction should hold, or up to the first question.
fn gather(first: Call, calls: &mut Receiver<Call>) -> (Vec<Request>, Option<Read>) {
    let (mut rows, mut bytes, mut batch) = (0, 0, Vec::new());
    let mut next = Some(first);
    while let Some(call) = next {
        let request = match call {
            Call::Write(request) => request,
            Call::Read(read) => return (batch, Some(read)),
        };
        rows += request.weight.rows;
        bytes += request.weight.bytes;
        batch.push(request);
        let full = rows >= MAX_BATCH_ROWS || bytes >= MAX_BATCH_BYTES;
        next = if full { None } else { calls.try_recv().ok() };
    }
    (batch, None)
}

struct Writer<'c> {
    connection: &'c Connection,
    batches: Batches<'c>,
    wal: Option<Wal>,
    changes: Arc<Changes>,
    lock_wait: Duration,
}

impl Writer<'_> {
    /// Writes the requests and answers each. An error says why the file is given up.
    fn write(&mut self, requests: Vec<Request>) -> Result<(), String> {
        let mut outcome = self.transact(&requests, Care::Together);
        if matches!(&outcome, Err(Failure::Before(fault)) if fault.reach() == Reach::Own) {
            outcome = self.transact(&requests, Care::OneByOne);
        }
        match outcome {
            Ok(results) => {
                let (rows, bytes) = self.answer(requests, results);
                self.tidy(rows, bytes)
            }
            Err(failure) => fail(requests, &failure),
        }
    }

    fn transact(
        &mut self,
        requests: &[Request],
        care: Care,
    ) -> Result<Vec<Result<Done, StoreError>>, Failure> {
        let outcome = match self.begin() {
            Ok(()) => self.batches.attempt(requests, care),
            Err(error) => Err(Failure::Before(error.into())),
        };
        if outcome.is_err() {
            // When this fails too, the failure that is reported is the one that came first.
            let _ = self.batches.roll_back();
        }
        outcome
    }

    /// Takes the write lock, however long others hold it, up to the limit.
    fn begin(&self) -> rusqlite::Result<()> {
        let began = Instant::now();
        loop {
            match self.connection.execute_batch("BEGIN IMMEDIATE") {
                Err(error) if is_busy(&error) && began.elapsed() < self.lock_wait => {
                    let waited = began.elapsed();
                    tracing::warn!(?waited, "another process or program holds the database; waiting for it");
                }
                begun => return begun,
            }
        }
    }

    /// Answers each, and says how much was written.
    fn answer(&self, requests: Vec<Request>, results: Vec<Result<Done, StoreError>>) -> (usize, usize) {
        let told = requests
            .iter()
            .zip(&results)
            .any(|(request, result)| result.as_ref().is_ok_and(|done| done.tells(request)));
        if told {
            self.changes.tell();
        }
        let (mut rows, mut bytes) = (0, 0);
        for (request, result) in requests.into_iter().zip(results) {
            rows += request.weight.rows;
            bytes += request.weight.bytes;
            // Whoever asked may be gone; then there is nobody to tell.
            let _ = request.reply.send(result);
        }
        (rows, bytes)
    }

    /// Keeps the log short. A flush that failed in there is not tried again: the file is given up.
    fn tidy(&mut self, rows: usize, bytes: usize) -> Result<(), String> {
        let Some(wal) = &mut self.wal else { return Ok(()) };
        match wal.grew(self.connection, rows, bytes) {
            Err(error) if reach(&error) == Reach::File => Err(format!(
                "the log can't be copied into the database: {error}; look after it, then open it again"
            )),
            Err(error) => {
                tracing::warn!(%error, "the log could not be copied into the database; the next write tries again");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }
}

/// Tells everybody that it failed, and says why the file is given up where it is.
fn fail(requests: Vec<Request>, failure: &Failure) -> Result<(), String> {
    let (far, text) = match failure {
        Failure::Before(fault) => (fault.reach(), fault.to_string()),
        Failure::AtCommit(error) => (reach(error), error.to_string()),
    };
    for request in requests {
        let _ = request.reply.send(Err(match failure {
            Failure::Before(fault) => fault.to_error("nothing was written"),
            Failure::AtCommit(error) => ambiguous(error),
        }));
    }
    if far == Reach::File {
        Err(format!("the database was given up after an error: {text}; look after it, then open it again"))
    } else {
        Ok(())
    }
}
