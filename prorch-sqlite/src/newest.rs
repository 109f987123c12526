//! The latest time that anybody wrote.

use std::time::Duration;

use prorch_core::repository::Timestamp;
use rusqlite::{Connection, Statement};

use crate::batch::{Done, Request};
use crate::error::Fault;

const READ: &str = "SELECT newest FROM clock";
const WRITE: &str = "UPDATE clock SET newest = ?1 WHERE newest IS NULL OR newest < ?1";

/// How exactly it is kept: else it would be one more write with each transaction.
const TO: Duration = Duration::from_secs(1);

pub(crate) struct Newest<'c> {
    read: Statement<'c>,
    write: Statement<'c>,
    /// What this connection wrote last.
    written: Option<Timestamp>,
}

impl<'c> Newest<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self { read: connection.prepare(READ)?, write: connection.prepare(WRITE)?, written: None })
    }

    pub(crate) fn read(&mut self) -> Result<Option<Timestamp>, Fault> {
        let newest: Option<i64> = self.read.query_row([], |row| row.get(0))?;
        Ok(newest.map(Timestamp::from_micros))
    }

    /// Notes the latest time of those that stand in what was written. A claim that found nothing writes nothing, and
    /// neither does its time.
    pub(crate) fn note(&mut self, request: &Request, done: &Done) -> Result<(), Fault> {
        let starts = request.runs.iter().map(|new| new.created_at);
        let changes = request.updates.iter().map(|update| update.at);
        let found = done.claims.as_ref().is_ok_and(|claims| !claims.is_empty());
        let claim = request.claim.iter().filter(|_| found).map(|claim| claim.now);
        let Some(newest) = starts.chain(changes).chain(claim).max() else { return Ok(()) };
        if self.written.is_none_or(|written| written + TO <= newest) {
            self.write.execute([newest.as_micros()])?;
            self.written = Some(newest);
        }
        Ok(())
    }

    /// What was noted was not written after all.
    pub(crate) fn forget(&mut self) {
        self.written = None;
    }
}
