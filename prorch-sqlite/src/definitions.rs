//! Definitions as small integers, so that a run's row and the index of what is due hold no names.

use std::collections::HashMap;

use prorch_core::repository::{Definition, Text};
use rusqlite::{Connection, OptionalExtension, Statement, params};

use crate::error::Fault;

const FIND: &str = "SELECT d.definition, d.pipeline FROM definitions d JOIN pipelines p USING (pipeline)
    WHERE p.name = ?1 AND d.fingerprint = ?2";
const RESOLVE: &str =
    "SELECT p.name, d.fingerprint, d.list FROM definitions d JOIN pipelines p USING (pipeline)
    WHERE d.definition = ?1";
const FIND_PIPELINE: &str = "SELECT pipeline FROM pipelines WHERE name = ?1";
const ADD_PIPELINE: &str = "INSERT INTO pipelines (name) VALUES (?1) ON CONFLICT (name) DO NOTHING";
const ADD: &str = "INSERT INTO definitions (pipeline, fingerprint, list) VALUES (?1, ?2, ?3)";

/// What stands for a definition in a run's row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interned {
    pub(crate) definition: i64,
    pub(crate) pipeline: i64,
}

/// The definitions that this connection has met. A row of theirs never changes, so none is read twice.
pub(crate) struct Definitions<'c> {
    find: Statement<'c>,
    resolve: Statement<'c>,
    find_pipeline: Statement<'c>,
    add_pipeline: Statement<'c>,
    add: Statement<'c>,
    numbers: HashMap<Definition, Interned>,
    names: HashMap<i64, Definition>,
}

impl<'c> Definitions<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            find: connection.prepare(FIND)?,
            resolve: connection.prepare(RESOLVE)?,
            find_pipeline: connection.prepare(FIND_PIPELINE)?,
            add_pipeline: connection.prepare(ADD_PIPELINE)?,
            add: connection.prepare(ADD)?,
            numbers: HashMap::new(),
            names: HashMap::new(),
        })
    }

    /// Drops what was learnt in a transaction that was rolled back.
    pub(crate) fn forget(&mut self) {
        self.numbers.clear();
        self.names.clear();
    }

    /// What stands for the definition, if any run ever had it.
    pub(crate) fn find(&mut self, definition: &Definition) -> Result<Option<Interned>, Fault> {
        if let Some(interned) = self.numbers.get(definition) {
            return Ok(Some(*interned));
        }
        let fingerprint = definition.fingerprint.cast_signed();
        let found = self.find.query_row(params![&*definition.pipeline, fingerprint], |row| {
            Ok(Interned { definition: row.get(0)?, pipeline: row.get(1)? })
        });
        let found = found.optional()?;
        if let Some(interned) = found {
            self.numbers.insert(definition.clone(), interned);
        }
        Ok(found)
    }

    /// What stands for the definition, from now on if not before.
    pub(crate) fn intern(&mut self, definition: &Definition) -> Result<Interned, Fault> {
        if let Some(interned) = self.find(definition)? {
            return Ok(interned);
        }
        self.add_pipeline.execute([&*definition.pipeline])?;
        let pipeline = self.find_pipeline.query_row([&*definition.pipeline], |row| row.get(0))?;
        let number =
            self.add.insert(params![pipeline, definition.fingerprint.cast_signed(), &*definition.list])?;
        let interned = Interned { definition: number, pipeline };
        self.numbers.insert(definition.clone(), interned);
        Ok(interned)
    }

    /// What the number stands for.
    pub(crate) fn resolve(&mut self, number: i64) -> Result<Option<Definition>, Fault> {
        if let Some(definition) = self.names.get(&number) {
            return Ok(Some(definition.clone()));
        }
        let found = self.resolve.query_row([number], |row| {
            let pipeline = Text::from(row.get_ref(0)?.as_str()?);
            let list = Text::from(row.get_ref(2)?.as_str()?);
            Ok(Definition { pipeline, fingerprint: row.get::<_, i64>(1)?.cast_unsigned(), list })
        });
        let found = found.optional()?;
        if let Some(definition) = &found {
            self.names.insert(number, definition.clone());
        }
        Ok(found)
    }
}
