//! Runs with what hangs on them.

use std::collections::{BTreeMap, HashSet};

use prorch_core::repository::{Locator, Message, Part, Position, Run, RunId, StepRecord, StoredRun};
use rusqlite::{Connection, Params, Statement, params};

use crate::columns::{self, message_columns, record_columns, run_columns};
use crate::definitions::Definitions;
use crate::error::Fault;

const BY_ID: &str = concat!("SELECT ", run_columns!(), " FROM runs WHERE id = ?1");
const BY_PLACE: &str = concat!("SELECT ", run_columns!(), " FROM runs WHERE run = ?1");
/// The stage that the run came to last, and the one before it.
const FRONTIER: &str = concat!(
    "SELECT ",
    record_columns!(),
    " FROM records WHERE run = ?1 AND position >= (
        SELECT ((max(position) >> 32) - 1) << 32 FROM records WHERE run = ?1
    ) ORDER BY position"
);
const ID: &str = "SELECT id FROM runs WHERE run = ?1";
const RECORDS: &str = concat!(
    "SELECT ",
    record_columns!(),
    " FROM records WHERE run = ?1 AND position >= ?2 ORDER BY position LIMIT ?3"
);
const WAITING: &str = concat!(
    "SELECT ",
    message_columns!(),
    " FROM messages INDEXED BY messages_waiting WHERE run = ?1 AND taken = 0 ORDER BY seq"
);

pub(crate) struct Reads<'c> {
    by_id: Statement<'c>,
    by_place: Statement<'c>,
    frontier: Statement<'c>,
    records: Statement<'c>,
    waiting: Statement<'c>,
    id: Statement<'c>,
    /// The places of rows that can't be read and were named.
    named: HashSet<i64>,
}

/// So many places are remembered; then all are forgotten, and named once more.
const REMEMBERED: usize = 1_000;

impl<'c> Reads<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            by_id: connection.prepare(BY_ID)?,
            by_place: connection.prepare(BY_PLACE)?,
            frontier: connection.prepare(FRONTIER)?,
            records: connection.prepare(RECORDS)?,
            waiting: connection.prepare(WAITING)?,
            id: connection.prepare(ID)?,
            named: HashSet::new(),
        })
    }

    /// The part of the run that is asked for, in a transaction of the caller's.
    pub(crate) fn get(
        &mut self,
        definitions: &mut Definitions<'_>,
        id: RunId,
        part: Part,
    ) -> Result<Option<StoredRun>, Fault> {
        let Some((locator, run)) = one(&mut self.by_id, [id.as_bytes()], definitions)? else {
            return Ok(None);
        };
        let bare = StoredRun { run, locator, records: BTreeMap::new(), inbox: Vec::new() };
        let place = locator.0.cast_signed();
        match part {
            Part::Row => Ok(Some(bare)),
            Part::Work => self.work(bare).map(Some),
            Part::Records { from, limit } => {
                let limit = i64::try_from(limit).unwrap_or(i64::MAX);
                let records = all_records(&mut self.records, params![place, i64::from(from), limit])?;
                Ok(Some(StoredRun { records, ..bare }))
            }
        }
    }

    /// The run in the row at `place`, alone.
    pub(crate) fn at(
        &mut self,
        definitions: &mut Definitions<'_>,
        place: i64,
    ) -> Result<Option<(Locator, Run)>, Fault> {
        one(&mut self.by_place, [place], definitions)
    }

    /// The run with what a decision needs. What its row says is not there is not looked for.
    pub(crate) fn work(&mut self, bare: StoredRun) -> Result<StoredRun, Fault> {
        let place = bare.locator.0.cast_signed();
        // Every write to a run's records is made under an epoch, and the first one is 1.
        let records =
            if bare.run.epoch.0 == 0 { BTreeMap::new() } else { all_records(&mut self.frontier, [place])? };
        let inbox = if bare.run.inbox_seq == 0 { Vec::new() } else { self.waiting(place)? };
        Ok(StoredRun { records, inbox, ..bare })
    }

    /// Says that a run can't be read, once: it is looked at again and again.
    pub(crate) fn name(&mut self, place: i64, fault: &Fault) {
        if self.named.len() >= REMEMBERED {
            self.named.clear();
        }
        if self.named.insert(place) {
            // It may be its id that can't be read.
            let id = self.id.query_row([place], |row| row.get(0)).map(RunId::from_bytes);
            let run = id.map_or_else(|_| "without an id".to_owned(), |id| id.to_string());
            tracing::warn!(prorch.run = run, prorch.place = place, %fault, "a run can't be read; it is left as it is");
        }
    }

    fn waiting(&mut self, place: i64) -> Result<Vec<Message>, Fault> {
        let mut rows = self.waiting.query([place])?;
        let mut inbox = Vec::new();
        while let Some(row) = rows.next()? {
            inbox.push(columns::message(row)?);
        }
        Ok(inbox)
    }
}

fn one(
    statement: &mut Statement<'_>,
    key: impl Params,
    definitions: &mut Definitions<'_>,
) -> Result<Option<(Locator, Run)>, Fault> {
    let mut rows = statement.query(key)?;
    rows.next()?.map(|row| columns::run(row, definitions)).transpose()
}

fn all_records(
    statement: &mut Statement<'_>,
    range: impl Params,
) -> Result<BTreeMap<Position, StepRecord>, Fault> {
    let mut rows = statement.query(range)?;
    let mut records = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let record = columns::record(row)?;
        records.insert(record.position, record);
    }
    Ok(records)
}
