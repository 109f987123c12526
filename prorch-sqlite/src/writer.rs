//! The thread that writes. All that waits is one transaction; nobody is answered before it is committed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prorch_core::repository::{MAX_BATCH_BYTES, MAX_BATCH_ROWS, StoreError};
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use tokio::sync::mpsc::Receiver;

use crate::batch::{Batches, Care, Done, Failure, Request};
use crate::begin::{PATIENCE, begin};
use crate::condition::Condition;
use crate::error::{Reach, ambiguous, broken, is_full, reach};
use crate::queue::Queue;
use crate::reader::Read;
use crate::snapshot::Snapshots;
use crate::told::Told;
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
    pub(crate) condition: Arc<Condition>,
    pub(crate) lock_wait: Duration,
    /// None when it is in memory.
    pub(crate) shared: Option<Shared>,
}

/// What it needs because others may use the file too.
pub(crate) struct Shared {
    pub(crate) path: PathBuf,
    pub(crate) queue: Queue,
    pub(crate) told: Arc<Told>,
}

/// Writes until nobody asks any more, or the file can't be used any more.
pub(crate) fn serve(connection: Connection, mut setting: Setting) {
    let Err(why) = write(&connection, &mut setting) else { return };
    tracing::error!(why, "the database is given up: nothing more is written to it by this process");
    setting.condition.given_up(&why);
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
    let patience = setting.lock_wait.min(PATIENCE);
    connection.busy_timeout(patience).map_err(told)?;
    let shared = setting.shared.take();
    let mut writer = Writer {
        connection,
        batches: Batches::prepare(connection).map_err(told)?,
        wal: shared.as_ref().map(|shared| Wal::of(shared.path.clone(), patience)),
        shared,
        changes: Arc::clone(&setting.changes),
        condition: Arc::clone(&setting.condition),
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
    shared: Option<Shared>,
    wal: Option<Wal>,
    changes: Arc<Changes>,
    condition: Arc<Condition>,
    lock_wait: Duration,
}

/// What a transaction answers to each request.
type Results = Vec<Result<Done, StoreError>>;

impl Writer<'_> {
    /// Writes the requests and answers each. An error says why the file is given up.
    fn write(&mut self, requests: Vec<Request>) -> Result<(), String> {
        let mut outcome = self.transact(&requests, Care::Together);
        if matches!(&outcome, Err(Failure::Before(fault)) if fault.reach() == Reach::Own) {
            outcome = self.transact(&requests, Care::OneByOne);
        }
        match outcome {
            Ok(results) => {
                self.condition.written();
                let (rows, bytes) = Self::answer(requests, results);
                self.tidy(rows, bytes)
            }
            Err(failure) => self.fail(requests, &failure),
        }
    }

    fn transact(&mut self, requests: &[Request], care: Care) -> Result<Results, Failure> {
        let Self { connection, batches, shared, changes, condition, lock_wait, .. } = self;
        let (turn, path, told) = match shared {
            Some(Shared { path, queue, told }) => (queue.enter(), Some(&**path), Some(&**told)),
            None => (None, None, None),
        };
        let outcome = begin(connection, condition, *lock_wait, path)
            .and_then(|()| batches.attempt(requests, care))
            .map_err(Failure::Before)
            .and_then(|results| {
                let tells = tells(requests, &results);
                if let Some(told) = told.filter(|_| tells) {
                    tell_others(told, changes);
                }
                batches.commit()?;
                if tells {
                    changes.tell();
                }
                Ok(results)
            });
        if outcome.is_err() {
            // When this fails too, the failure that is reported is the one that came first.
            let _ = batches.roll_back();
        }
        drop(turn);
        outcome
    }

    /// Answers each, and says how much was written.
    fn answer(requests: Vec<Request>, results: Results) -> (usize, usize) {
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
        let (Some(wal), Some(shared)) = (&mut self.wal, &mut self.shared) else { return Ok(()) };
        if !wal.grew(rows, bytes) {
            return Ok(());
        }
        match wal.tidy(self.connection, &mut shared.queue) {
            Ok(done) => self.condition.emptied(done),
            Err(error) if reach(&error) == Reach::File => {
                return Err(format!(
                    "the log can't be copied into the database: {error}; look after it, then open it again"
                ));
            }
            Err(error) if is_full(&error) => self.condition.full(),
            Err(error) => {
                tracing::debug!(%error, "the log could not be copied into the database; a later write tries again");
            }
        }
        Ok(())
    }

    /// Tells everybody that it failed, and says why the file is given up where it is.
    fn fail(&self, requests: Vec<Request>, failure: &Failure) -> Result<(), String> {
        let (far, text) = match failure {
            Failure::Before(fault) => (fault.reach(), fault.to_string()),
            Failure::AtCommit(error) => (reach(error), error.to_string()),
        };
        if failure.is_full() {
            self.condition.full();
        }
        for request in requests {
            let _ = request.reply.send(Err(match failure {
                Failure::Before(fault) => fault.to_error("nothing was written"),
                Failure::AtCommit(error) => ambiguous(error),
            }));
        }
        if far == Reach::File {
            Err(format!(
                "the database was given up after an error: {text}; look after it, then open it again"
            ))
        } else {
            Ok(())
        }
    }
}

/// Whether something may be due that was not before.
fn tells(requests: &[Request], results: &Results) -> bool {
    let mut each = requests.iter().zip(results);
    each.any(|(request, result)| result.as_ref().is_ok_and(|done| done.tells(request)))
}

/// Tells other processes before the commit: what they do because of it has to wait for the lock that is held.
fn tell_others(told: &Told, changes: &Changes) {
    match told.raise() {
        Ok(true) => changes.tell(),
        Ok(false) => {}
        Err(error) => tracing::debug!(%error, "other processes can't be told that there is something to do"),
    }
}
