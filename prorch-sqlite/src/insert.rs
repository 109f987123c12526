//! New runs.

use prorch_core::repository::{NewRun, RunId, Saved};
use rusqlite::{Connection, OptionalExtension, Statement, params};

use crate::codes::{metadata_text, spared_text, status_code};
use crate::definitions::{Definitions, Interned};
use crate::error::Fault;
use crate::records::RecordRows;

const ADD: &str =
    "INSERT INTO runs (id, definition, pipeline, status, priority, due_at, created_at, parent, parent_position, key,
    metadata, input, origin, origin_step, fan_stage, fan_width, fan_entered, fan_finished, fan_low,
    starts, spared)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19,
    ?20, ?21)
    ON CONFLICT DO NOTHING";
const ADD_INPUT: &str = "INSERT INTO inputs (run, input) VALUES (?1, ?2)";
const KNOWN_ID: &str = "SELECT 1 FROM runs WHERE id = ?1";
const WITH_KEY: &str = "SELECT id FROM runs WHERE pipeline = ?1 AND key = ?2";

/// An input that is longer is kept apart: with it a run's row would not fit into a page.
const LONG_INPUT: usize = 3_000;

pub(crate) struct Inserts<'c> {
    connection: &'c Connection,
    pub(crate) records: RecordRows<'c>,
    add: Statement<'c>,
    add_input: Statement<'c>,
    known_id: Statement<'c>,
    with_key: Statement<'c>,
}

impl<'c> Inserts<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            connection,
            records: RecordRows::prepare(connection)?,
            add: connection.prepare(ADD)?,
            add_input: connection.prepare(ADD_INPUT)?,
            known_id: connection.prepare(KNOWN_ID)?,
            with_key: connection.prepare(WITH_KEY)?,
        })
    }

    /// Inserts the run with its records, unless its id or its key is there.
    pub(crate) fn insert(&mut self, definitions: &mut Definitions<'_>, new: &NewRun) -> Result<Saved, Fault> {
        let interned = definitions.intern(&new.definition)?;
        let is_long = new.input.len() > LONG_INPUT;
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
            (!is_long).then_some(&*new.input),
            new.origin.as_ref().map(|origin| origin.run.as_bytes()),
            new.origin.as_ref().map(|origin| &*origin.step),
            new.fan.map(|fan| fan.stage),
            new.fan.and_then(|fan| fan.width),
            new.fan.map(|fan| fan.entered),
            new.fan.map(|fan| fan.finished),
            new.fan.map(|fan| fan.low),
            new.starts.as_deref(),
            spared_text(&new.spared)?,
        ])?;
        if added == 0 {
            return self.known(interned, new).map(Saved::Known);
        }
        let place = self.connection.last_insert_rowid();
        if is_long {
            self.add_input.execute(params![place, &*new.input])?;
        }
        for record in &new.records {
            self.records.write(place, record)?;
        }
        Ok(Saved::New)
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

#[cfg(test)]
mod tests {
    use prorch_core::repository::{Text, Timestamp, definition_key};

    use super::*;

    #[test]
    fn a_long_input_does_not_stand_in_the_row_that_is_written_often() {
        let connection = crate::open::in_memory().unwrap();
        let mut definitions = Definitions::prepare(&connection).unwrap();
        let mut inserts = Inserts::prepare(&connection).unwrap();
        for (id, length) in [(1, LONG_INPUT), (2, LONG_INPUT + 1), (3, 2)] {
            let id = RunId::from_bytes([id; 16]);
            let input = Text::from("1".repeat(length));
            let new = NewRun::new(id, definition_key("p", ["a"]), input, Timestamp::default());
            assert_eq!(inserts.insert(&mut definitions, &new).unwrap(), Saved::New);
            assert_eq!(inserts.insert(&mut definitions, &new).unwrap(), Saved::Known(id));
        }
        let lengths = |sql| {
            let mut statement = connection.prepare(sql).unwrap();
            let found = statement.query_map([], |row| row.get::<_, Option<i64>>(0)).unwrap();
            found.collect::<Result<Vec<_>, _>>().unwrap()
        };
        let longest = LONG_INPUT as i64;
        assert_eq!(lengths("SELECT length(input) FROM runs ORDER BY run"), [Some(longest), None, Some(2)]);
        assert_eq!(lengths("SELECT length(input) FROM inputs"), [Some(longest + 1)]);
    }
}
