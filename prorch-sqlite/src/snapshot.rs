//! Everything that one connection does, with its statements prepared once.

use prorch_core::repository::{ClaimRequest, Filter, Outlook, Page, Part, RunId, StoredRun};
use rusqlite::Connection;

use crate::definitions::Definitions;
use crate::due::Due;
use crate::error::Fault;
use crate::gates::Paces;
use crate::newest::Newest;
use crate::read::Reads;
use crate::search::search;

/// What is asked of a connection that reads, each answer from one snapshot.
pub(crate) struct Snapshots<'c> {
    connection: &'c Connection,
    definitions: Definitions<'c>,
    reads: Reads<'c>,
    due: Due<'c>,
    paces: Paces<'c>,
    newest: Newest<'c>,
}

impl<'c> Snapshots<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            connection,
            definitions: Definitions::prepare(connection)?,
            reads: Reads::prepare(connection)?,
            due: Due::prepare(connection)?,
            paces: Paces::prepare(connection)?,
            newest: Newest::prepare(connection)?,
        })
    }

    pub(crate) fn get(&mut self, id: RunId, part: Part) -> Result<Option<StoredRun>, Fault> {
        let Self { connection, definitions, reads, .. } = self;
        in_snapshot(connection, || reads.get(definitions, id, part))
    }

    pub(crate) fn search(&mut self, filter: &Filter) -> Result<Page, Fault> {
        let Self { connection, definitions, reads, .. } = self;
        in_snapshot(connection, || search(connection, reads, definitions, filter))
    }

    pub(crate) fn outlook(&mut self, request: &ClaimRequest) -> Result<Outlook, Fault> {
        let Self { connection, definitions, due, paces, newest, .. } = self;
        in_snapshot(connection, || {
            let mut clocks = due.holders(definitions, request)?;
            clocks.newest = clocks.newest.max(newest.read()?);
            let due = due.earliest(definitions, request)?;
            let due = due.into_iter().chain(paces.earliest(definitions, request)?).min();
            Ok(Outlook { due, clocks })
        })
    }
}

/// Runs `read` in one transaction, which never writes.
fn in_snapshot<T>(connection: &Connection, read: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    let transaction = connection.unchecked_transaction()?;
    let answer = read();
    transaction.finish()?;
    answer
}
