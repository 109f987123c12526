//! New runs.

use prorch_core::repository::{NewRun, RunId, Saved};
use rusqlite::{Connection, OptionalExtension, Statement, params};

use crate::codes::{metadata_text, status_code};
use crate::definitions::{Definitions, Interned};
use crate::error::Fault;

const ADD: &str =
    "INSERT INTO runs (id, definition, pipeline, status, priority, due_at, created_at, parent, parent_position, key,
    metadata, input)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT DO NOTHING";
const KNOWN_ID: &str = "SELECT 1 FROM runs WHERE id = ?1";
const WITH_KEY: &str = "SELECT id FROM runs WHERE pipeline = ?1 AND key = ?2";

pub(crate) struct Inserts<'c> {
    add: Statement<'c>,
    known_id: Statement<'c>,
    with_key: Statement<'c>,
}

impl<'c> Inserts<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            add: connection.prepare(ADD)?,
            known_id: connection.prepare(KNOWN_ID)?,
            with_key: connection.prepare(WITH_KEY)?,
        })
    }

    /// Inserts the run, unless its id or its key is there.
    pub(crate) fn insert(&mut self, definitions: &mut Definitions<'_>, new: &NewRun) -> Result<Saved, Fault> {
        let interned = definitions.intern(&new.definition)?;
        let added = self.add.execute(params![
            new.id.as_bytes(),
            interned.definition,
            interned.pipeline,
            status_code(prorch_core::repository::Status::Created),
            new.priority,
            new.due_at.as_micros(),
            new.created_at.as_micros(),
            new.parent.as_ref().map(|parent| parent.run.as_bytes()),
            new.parent.map(|parent| i64::from(parent.position)),
            new.key.as_deref(),
            metadata_text(&new.metadata)?,
            &*new.input,
        ])?;
        if added == 1 { Ok(Saved::New) } else { self.known(interned, new).map(Saved::Known) }
    }

    /// The run that is there instead: under the same id, or else under the same key.
    fn known(&mut self, interned: Interned, new: &NewRun) -> Result<RunId, Fault> {
        if self.known_id.exists([new.id.as_bytes()])? {
            return Ok(new.id);
        }
        let found = self.with_key.query_row(params![interned.pipeline, new.key.as_deref()], |row| row.get(0));
        let found = found.optional()?.map(RunId::from_bytes);
        found.ok_or_else(|| {
            Fault::unstorable(format!("the run {}, which is in conflict with no other run,", new.id))
        })
    }
}
