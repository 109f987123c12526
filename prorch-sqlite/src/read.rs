//! Runs with what hangs on them.

use std::collections::{BTreeMap, HashSet};

use prorch_core::repository::{Fan, Locator, Message, Part, Position, Run, RunId, StepRecord, StoredRun};
use rusqlite::{Connection, Params, Statement, params};

use crate::columns::{self, record_columns, run_columns};
use crate::definitions::Definitions;
use crate::error::Fault;
use crate::mail::{self, message_columns};

type Records = BTreeMap<Position, StepRecord>;

const BY_ID: &str = concat!("SELECT ", run_columns!(), " FROM runs WHERE id = ?1");
const BY_PLACE: &str = concat!("SELECT ", run_columns!(), " FROM runs WHERE run = ?1");
/// From the last record backwards, as far as somebody reads.
const BACKWARDS: &str =
    concat!("SELECT ", record_columns!(), " FROM records WHERE run = ?1 ORDER BY position DESC");
/// Of a stage with several members those that have not finished; of the others no more than the status is looked at.
const UNFINISHED: &str = concat!(
    "SELECT ",
    record_columns!(),
    " FROM records WHERE run = ?1 AND position >= ?2 AND status <> 2 ORDER BY position"
);
/// Of a run that is undone what stands before a position, the last first.
const UNDONE: &str = concat!(
    "SELECT ",
    record_columns!(),
    " FROM records WHERE run = ?1 AND position < ?2 ORDER BY position DESC LIMIT ?3"
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
    connection: &'c Connection,
    by_id: Statement<'c>,
    by_place: Statement<'c>,
    backwards: Statement<'c>,
    unfinished: Statement<'c>,
    records: Statement<'c>,
    undone: Statement<'c>,
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
            connection,
            by_id: connection.prepare(BY_ID)?,
            by_place: connection.prepare(BY_PLACE)?,
            backwards: connection.prepare(BACKWARDS)?,
            unfinished: connection.prepare(UNFINISHED)?,
            records: connection.prepare(RECORDS)?,
            undone: connection.prepare(UNDONE)?,
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
        let bare = StoredRun::bare(run, locator);
        let place = locator.0.cast_signed();
        match part {
            Part::Row => Ok(Some(bare)),
            Part::History { from, limit } => {
                let history = crate::history::read(self.connection, place, from, limit)?;
                Ok(Some(StoredRun { history, ..bare }))
            }
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
        // A run is inserted without records unless it takes some over; every later write to them is made under an epoch,
        // and the first one is 1.
        let records = match bare.run.state.fan {
            _ if bare.run.epoch.0 == 0 && bare.run.origin.is_none() => Records::new(),
            _ if let Some(below) = bare.run.state.undo_below() => self.undone_next(place, below)?,
            Some(fan) => self.among_many(place, fan)?,
            None => self.last_two(place)?,
        };
        let inbox = if bare.run.inbox_seq == 0 { Vec::new() } else { self.waiting(place)? };
        Ok(StoredRun { records, inbox, ..bare })
    }

    /// The records of a stage with several members that have not finished, and the first of the stage before.
    fn among_many(&mut self, place: i64, fan: Fan) -> Result<Records, Fault> {
        let low = Position { stage: fan.stage, item: fan.low };
        let mut records = all_records(&mut self.unfinished, params![place, i64::from(low)])?;
        if let Some(stage) = fan.stage.checked_sub(1) {
            records.append(&mut self.first_of(place, stage)?);
        }
        Ok(records)
    }

    /// The last records before `below` that are of one stage, and the first of the stage before.
    fn undone_next(&mut self, place: i64, below: Position) -> Result<Records, Fault> {
        let range = params![place, i64::from(below), Part::UNDO_AT_ONCE];
        let mut records = all_records(&mut self.undone, range)?;
        let Some(stage) = records.last_key_value().map(|(at, _)| at.stage) else { return Ok(records) };
        records.retain(|at, _| at.stage == stage);
        if let Some(before) = stage.checked_sub(1) {
            records.append(&mut self.first_of(place, before)?);
        }
        Ok(records)
    }

    /// The records of the last stage that the run came to, and the first of the stage before: read backwards, which for
    /// stages of one step is two rows and their neighbour.
    fn last_two(&mut self, place: i64) -> Result<Records, Fault> {
        let mut records = Records::new();
        let mut last = None;
        let mut rows = self.backwards.query([place])?;
        while let Some(row) = rows.next()? {
            let position = columns::position(row)?;
            let behind = last.get_or_insert(position.stage).abs_diff(position.stage);
            if behind == 1 && position.item >= Part::WORK_BEFORE {
                drop(rows);
                records.append(&mut self.first_of(place, position.stage)?);
                break;
            }
            if behind > 1 {
                break;
            }
            records.insert(position, columns::record(row)?);
        }
        Ok(records)
    }

    /// The first records of a stage that the run has left.
    fn first_of(&mut self, place: i64, stage: u32) -> Result<Records, Fault> {
        let from = Position::of_stage(stage);
        let mut records = all_records(&mut self.records, params![place, i64::from(from), Part::WORK_BEFORE])?;
        records.retain(|at, _| at.stage == stage && at.item < Part::WORK_BEFORE);
        Ok(records)
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
            inbox.push(mail::message(row)?);
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

fn all_records(statement: &mut Statement<'_>, range: impl Params) -> Result<Records, Fault> {
    let mut rows = statement.query(range)?;
    let mut records = Records::new();
    while let Some(row) = rows.next()? {
        let record = columns::record(row)?;
        records.insert(record.position, record);
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus::VmStep;

    use super::*;
    use crate::plan::plan;

    #[test]
    fn records_are_found_by_their_places_and_need_no_sorting() {
        for (sql, range) in [
            (BACKWARDS, "run=?"),
            (UNDONE, "run=? AND position<?"),
            (UNFINISHED, "run=? AND position>?"),
            (RECORDS, "run=? AND position>?"),
        ] {
            let expected = format!("SEARCH records USING PRIMARY KEY ({range})");
            assert_eq!(plan(sql), expected, "{sql}");
        }
    }

    /// A run of which 10,000 members of stage 1 have finished, and ten are open.
    const MANY: &str = "
        INSERT INTO pipelines VALUES (1, 'p');
        INSERT INTO definitions VALUES (1, 1, 1, '');
        INSERT INTO runs (run, id, definition, pipeline, status, priority, epoch, created_at, input, fan_stage, fan_width,
            fan_entered, fan_finished, fan_low)
        VALUES (1, zeroblob(16), 1, 1, 1, 5, 1, 0, '1', 1, 10010, 10010, 10000, 10000);
        WITH RECURSIVE items (item) AS (SELECT 0 UNION ALL SELECT item + 1 FROM items WHERE item < 10009)
        INSERT INTO records (run, position, name, status, resumable, attempt, errors, entered_at)
        SELECT 1, (1 << 32) + item, 'member', iif(item < 10000, 2, 1), 0, 1, 0, 0 FROM items;";
    const LEFT: &str = "
        UPDATE runs SET fan_stage = NULL, fan_width = NULL, fan_entered = NULL, fan_finished = NULL, fan_low = NULL;
        INSERT INTO records (run, position, name, status, resumable, attempt, errors, entered_at)
        VALUES (1, 2 << 32, 'after', 1, 0, 1, 0, 0);";

    #[test]
    fn what_has_finished_costs_nothing() {
        let connection = crate::open::in_memory().unwrap();
        connection.execute_batch(MANY).unwrap();
        let mut definitions = Definitions::prepare(&connection).unwrap();
        let mut reads = Reads::prepare(&connection).unwrap();
        let mut work = |reads: &mut Reads<'_>| {
            let stored =
                reads.get(&mut definitions, RunId::from_bytes([0; 16]), Part::Work).unwrap().unwrap();
            let statements = [&reads.backwards, &reads.unfinished, &reads.records];
            let steps: i32 = statements.map(|statement| statement.reset_status(VmStep)).iter().sum();
            (stored.records.len(), steps)
        };
        let (found, steps) = work(&mut reads);
        assert_eq!(found, 10);
        assert!(steps < 500, "{steps} steps among many");
        connection.execute_batch(LEFT).unwrap();
        let (found, steps) = work(&mut reads);
        assert_eq!(found, 9);
        assert!(steps < 500, "{steps} steps in the stage after");
    }
}
