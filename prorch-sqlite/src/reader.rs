//! Threads that read, so that a search does not hold up a write, and a slow read no other.

use std::sync::{Arc, Mutex, PoisonError};

use prorch_core::repository::{ClaimRequest, Filter, Outlook, Page, Part, RunId, StoreError, StoredRun};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::error::broken;
use crate::snapshot::Snapshots;

pub(crate) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// A question, and where its answer goes.
#[derive(Debug)]
pub(crate) enum Read {
    Get(RunId, Part, Reply<Option<StoredRun>>),
    Search(Box<Filter>, Reply<Page>),
    Outlook(ClaimRequest, Reply<Outlook>),
}

impl Read {
    /// Answers it. Whoever asked may be gone; then there is nobody to tell.
    pub(crate) fn answer(self, snapshots: &mut Snapshots<'_>) {
        match self {
            Self::Get(id, part, reply) => {
                let _ = reply.send(snapshots.get(id, part).map_err(|fault| fault.of_run(id)));
            }
            Self::Search(filter, reply) => {
                let found = snapshots.search(&filter);
                let _ = reply.send(found.map_err(|fault| fault.into_error("the search did not work")));
            }
            Self::Outlook(request, reply) => {
                let found = snapshots.outlook(&request);
                let why = "what is due next, and who holds runs, can't be read";
                let _ = reply.send(found.map_err(|fault| fault.into_error(why)));
            }
        }
    }

    /// Answers that it can't be answered.
    pub(crate) fn refuse(self, why: &str) {
        match self {
            Self::Get(_, _, reply) => drop(reply.send(Err(broken(why)))),
            Self::Search(_, reply) => drop(reply.send(Err(broken(why)))),
            Self::Outlook(_, reply) => drop(reply.send(Err(broken(why)))),
        }
    }
}

/// What the threads take turns to take from.
pub(crate) type Questions = Arc<Mutex<mpsc::Receiver<Read>>>;

/// Answers until nobody asks any more.
pub(crate) fn serve(connection: &Connection, questions: &Questions) {
    match Snapshots::prepare(connection) {
        Ok(mut snapshots) => {
            while let Some(read) = next(questions) {
                read.answer(&mut snapshots);
            }
        }
        Err(error) => {
            let why = format!("the database can't be read: {error}");
            while let Some(read) = next(questions) {
                read.refuse(&why);
            }
        }
    }
}

fn next(questions: &Questions) -> Option<Read> {
    questions.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv()
}
