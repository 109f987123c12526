//! The records of runs, as they are written.

use prorch_core::repository::{Position, StepRecord, Timestamp};
use rusqlite::{Connection, Statement, params};

use crate::codes::{metadata_text, status_code, undo_text};
use crate::error::Fault;

/// For a record that is new and one that changes: a row of this table has nothing else hanging on it.
const WRITE: &str = "INSERT OR REPLACE INTO records (run, position, name, status, resumable, attempt, errors,
    state, output, error, due_at, awaits, done, total, metadata, entered_at, ended_at, child,
    generation)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)";
/// What few records have: one that is about to be called, and at most once; one that is being undone, or was.
const WRITE_RARE: &str = "UPDATE records SET intent = ?3, undo = ?4 WHERE run = ?1 AND position = ?2";
const REMOVE: &str = "DELETE FROM records WHERE run = ?1 AND position = ?2";

pub(crate) struct RecordRows<'c> {
    write: Statement<'c>,
    write_rare: Statement<'c>,
    remove: Statement<'c>,
}

impl<'c> RecordRows<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            write: connection.prepare(WRITE)?,
            write_rare: connection.prepare(WRITE_RARE)?,
            remove: connection.prepare(REMOVE)?,
        })
    }

    /// Writes the record of the run at `place`.
    pub(crate) fn write(&mut self, place: i64, record: &StepRecord) -> Result<(), Fault> {
        self.write.execute(params![
            place,
            i64::from(record.position),
            &*record.name,
            status_code(record.status),
            record.resumable,
            record.attempt,
            record.errors,
            record.state.as_deref(),
            record.output.as_deref(),
            record.error.as_deref(),
            record.due_at.map(Timestamp::as_micros),
            record.awaits.as_deref(),
            record.progress.map(|progress| progress.done.cast_signed()),
            record.progress.map(|progress| progress.total.cast_signed()),
            metadata_text(&record.metadata)?,
            record.entered_at.as_micros(),
            record.ended_at.map(Timestamp::as_micros),
            record.child.as_ref().map(|child| child.run.as_bytes()),
            record.child.map(|child| child.generation),
        ])?;
        if record.intent.is_some() || record.undo.is_some() {
            let undo = record.undo.as_ref().map(undo_text).transpose()?;
            let intent = record.intent.map(Timestamp::as_micros);
            self.write_rare.execute(params![place, i64::from(record.position), intent, undo])?;
        }
        Ok(())
    }

    /// Removes the record at this position.
    pub(crate) fn remove(&mut self, place: i64, position: Position) -> Result<(), Fault> {
        self.remove.execute(params![place, i64::from(position)])?;
        Ok(())
    }
}
