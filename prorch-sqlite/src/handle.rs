//! What all clones of a repository share: the ways to its threads.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::{fmt, io};

use prorch_core::repository::{StoreError, StoreErrorKind};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::batch::{Batches, Done, Request};
use crate::builder::SqliteBuilder;
use crate::condition::Condition;
use crate::error::{Fault, broken};
use crate::notice::{Notices, Stop};
use crate::open;
use crate::reader::{self, Read, Reply};
use crate::told::Told;
use crate::watch::{self, Changes};
use crate::writer::{self, Call, Setting, Shared};

/// How many callers may wait in line before the next one waits to get into it.
const LINE: usize = 1_024;

pub(crate) struct Handle {
    calls: Option<mpsc::Sender<Call>>,
    /// None when the thread that writes also reads.
    questions: Option<mpsc::Sender<Read>>,
    stop_watch: Option<Stop>,
    readers: Vec<JoinHandle<()>>,
    /// It ends after all others, because the last one to close the file tidies up.
    writer: Option<JoinHandle<()>>,
    pub(crate) changes: Arc<Changes>,
    pub(crate) condition: Arc<Condition>,
}

impl Handle {
    /// The file, with its threads.
    pub(crate) fn open(builder: SqliteBuilder) -> Result<Self, StoreError> {
        let (connection, queue) = open::writer(&builder)?;
        check_schema(&connection)?;
        let path = &*builder.path;
        let told = Arc::new(Told::open(path)?);
        let reading =
            (0..builder.readers.max(1)).map(|_| open::reader(&builder)).collect::<Result<Vec<_>, _>>()?;
        // From here on a thread that can't be started ends those that were: the handle is dropped.
        let (mut handle, calls) = Self::without_threads(Condition::of(path));
        handle.start_watch(Arc::clone(&told))?;
        handle.start_readers(reading)?;
        let shared = Shared { path: path.into(), queue, told };
        handle.start_writer(
            connection,
            Setting { lock_wait: builder.lock_wait, ..handle.setting(calls, Some(shared)) },
        )?;
        Ok(handle)
    }

    /// A database in memory, with one thread for all.
    pub(crate) fn open_in_memory() -> Result<Self, StoreError> {
        let connection = open::in_memory()?;
        let (mut handle, calls) = Self::without_threads(Condition::default());
        handle.start_writer(connection, handle.setting(calls, None))?;
        Ok(handle)
    }

    fn without_threads(condition: Condition) -> (Self, mpsc::Receiver<Call>) {
        let (calls, inbox) = mpsc::channel(LINE);
        let handle = Self {
            calls: Some(calls),
            questions: None,
            stop_watch: None,
            readers: Vec::new(),
            writer: None,
            changes: Arc::new(Changes::new()),
            condition: Arc::new(condition),
        };
        (handle, inbox)
    }

    fn setting(&self, calls: mpsc::Receiver<Call>, shared: Option<Shared>) -> Setting {
        Setting {
            calls,
            changes: Arc::clone(&self.changes),
            condition: Arc::clone(&self.condition),
            lock_wait: std::time::Duration::ZERO,
            shared,
        }
    }

    fn start_watch(&mut self, told: Arc<Told>) -> Result<(), StoreError> {
        let changes = Arc::clone(&self.changes);
        let (mut notices, stop) = Notices::of(told.path()).map_err(no_thread)?;
        self.stop_watch = Some(stop);
        self.readers.push(start("prorch-watch", move || watch::serve(&told, &changes, &mut notices))?);
        Ok(())
    }

    fn start_readers(&mut self, connections: Vec<Connection>) -> Result<(), StoreError> {
        let (questions, asked) = mpsc::channel(LINE);
        let asked = Arc::new(Mutex::new(asked));
        self.questions = Some(questions);
        for connection in connections {
            let asked = Arc::clone(&asked);
            self.readers.push(start("prorch-read", move || reader::serve(&connection, &asked))?);
        }
        Ok(())
    }

    fn start_writer(&mut self, connection: Connection, setting: Setting) -> Result<(), StoreError> {
        self.writer = Some(start("prorch-write", move || writer::serve(connection, setting))?);
        Ok(())
    }

    /// Asks the thread that writes.
    pub(crate) async fn write(
        &self,
        request: impl FnOnce(Reply<Done>) -> Request,
    ) -> Result<Done, StoreError> {
        let (reply, answer) = oneshot::channel();
        send(self.calls.as_ref(), Call::Write(request(reply))).await?;
        // Without an answer from a thread that ended it is not known how far it came.
        answer.await.unwrap_or_else(|_| Err(gone(StoreErrorKind::Ambiguous)))
    }

    /// Asks a thread that reads.
    pub(crate) async fn read<T>(&self, read: impl FnOnce(Reply<T>) -> Read) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let read = read(reply);
        match &self.questions {
            Some(questions) => send(Some(questions), read).await?,
            None => send(self.calls.as_ref(), Call::Read(read)).await?,
        }
        answer.await.unwrap_or_else(|_| Err(gone(StoreErrorKind::Broken)))
    }
}

/// Ends the threads, when all that was asked is done.
impl Drop for Handle {
    fn drop(&mut self) {
        self.stop_watch = None;
        self.questions = None;
        for thread in self.readers.drain(..) {
            // A thread that panicked has told so.
            let _ = thread.join();
        }
        self.calls = None;
        let _ = self.writer.take().map(JoinHandle::join);
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("readers", &self.readers.len()).finish_non_exhaustive()
    }
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    std::thread::Builder::new().name(name.into()).spawn(work).map_err(no_thread)
}

fn no_thread(error: io::Error) -> StoreError {
    StoreError::new(StoreErrorKind::Transient, format!("no thread can be started: {error}"))
        .with_source(error)
}

/// Finds a table or an index that somebody took away when the file is opened, not at the first write.
fn check_schema(connection: &Connection) -> Result<(), StoreError> {
    let fits = Batches::prepare(connection).map(drop);
    fits.map_err(|error| {
        let what = format!(
            "the tables are not those that prorch made: {error}; put a copy that is whole in its place"
        );
        Fault::Misfit(what).into_error("the database can't be used")
    })
}

async fn send<T>(line: Option<&mpsc::Sender<T>>, call: T) -> Result<(), StoreError> {
    let line = line.ok_or_else(|| gone(StoreErrorKind::Broken))?;
    line.send(call).await.map_err(|_| gone(StoreErrorKind::Broken))
}

fn gone(kind: StoreErrorKind) -> StoreError {
    match kind {
        StoreErrorKind::Broken => broken("the database's thread ended: open it again"),
        kind => StoreError::new(
            kind,
            "the database's thread ended before it answered: ask again after opening it",
        ),
    }
}
