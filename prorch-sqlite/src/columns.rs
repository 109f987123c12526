//! Rows as values: one column after the other, each with its name when it can't be read.

use prorch_core::repository::{
    Blocked, Cause, Child, Epoch, Fan, Lease, Locator, Metadata, Origin, Parent, Permits, Position, Run,
    RunId, RunState, Status, StepProgress, StepRecord, Text, Timestamp, WorkerId,
};
use rusqlite::Row;
use rusqlite::types::{FromSql, FromSqlError, ValueRef};
use serde::de::DeserializeOwned;

use crate::codes::{cause_of, length_of, status_of};
use crate::definitions::Definitions;
use crate::error::Fault;

/// The columns of [`run`], in its order.
macro_rules! run_columns {
    () => {
        "run, id, definition, status, priority, paused, crashes, epoch, holder, lease_length, due_at, inbox_seq, \
         fan_stage, fan_width, fan_entered, fan_finished, fan_low, created_at, started_at, ended_at, parent, \
         parent_position, origin, origin_step, key, stuck, cause_kind, cause_step, cause, metadata, \
         ifnull(input, (SELECT input FROM inputs WHERE inputs.run = runs.run)) AS input, output, undo, sealed, starts, \
         spared, holds, calling, blocked, (SELECT opens_at FROM gates WHERE gate = runs.blocked) AS opens_at"
    };
}
/// The columns of [`record`], in its order.
macro_rules! record_columns {
    () => {
        "position, name, status, resumable, attempt, errors, state, output, error, due_at, awaits, done, total, \
         metadata, entered_at, ended_at, child, generation, intent, undo"
    };
}
pub(crate) use {record_columns, run_columns};

/// A row that is read from left to right.
pub(crate) struct Columns<'a> {
    row: &'a Row<'a>,
    table: &'static str,
    next: usize,
}

impl<'a> Columns<'a> {
    pub(crate) const fn new(table: &'static str, row: &'a Row<'a>) -> Self {
        Self { row, table, next: 0 }
    }

    /// The next column.
    pub(crate) fn take<T: FromSql>(&mut self) -> Result<T, Fault> {
        let value = self.row.get_ref(self.next)?;
        self.next += 1;
        T::column_result(value).map_err(|error| self.unreadable(&error))
    }

    /// Leaves columns out that have nothing to say.
    pub(crate) const fn skip(&mut self, columns: usize) {
        self.next += columns;
    }

    /// The next column, made into what it stands for; `Err` says what is wrong with it.
    fn map<T, U>(&mut self, make: impl FnOnce(T) -> Result<U, String>) -> Result<U, Fault>
    where
        T: FromSql,
    {
        let value = self.take()?;
        make(value).map_err(|why| self.unreadable(&why))
    }

    /// What is wrong with the column that was read last.
    pub(crate) fn unreadable(&self, why: &dyn std::fmt::Display) -> Fault {
        let name = self.row.as_ref().column_name(self.next - 1).unwrap_or("?");
        Fault::Unreadable { column: format!("{}.{name}", self.table), why: why.to_string() }
    }

    pub(crate) fn text(&mut self) -> Result<Text, Fault> {
        self.take::<Words>().map(|words| words.0)
    }

    pub(crate) fn maybe_text(&mut self) -> Result<Option<Text>, Fault> {
        Ok(self.take::<Option<Words>>()?.map(|words| words.0))
    }

    pub(crate) fn maybe_time(&mut self) -> Result<Option<Timestamp>, Fault> {
        Ok(self.take::<Option<i64>>()?.map(Timestamp::from_micros))
    }

    pub(crate) fn time(&mut self) -> Result<Timestamp, Fault> {
        self.take().map(Timestamp::from_micros)
    }

    fn count(&mut self) -> Result<u32, Fault> {
        self.map(|value: i64| u32::try_from(value).map_err(|_| format!("{value} is no count")))
    }

    pub(crate) fn flag(&mut self) -> Result<bool, Fault> {
        self.map(|value: i64| match value {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(format!("{value} is neither 0 nor 1")),
        })
    }

    pub(crate) fn status(&mut self) -> Result<Status, Fault> {
        self.map(|code| status_of(code).ok_or_else(|| format!("{code} is no status")))
    }

    fn metadata(&mut self) -> Result<Metadata, Fault> {
        self.map(|text: Option<Words>| match text {
            None => Ok(Metadata::new()),
            Some(text) => serde_json::from_str(&text.0).map_err(|error| error.to_string()),
        })
    }

    /// The bits of a number without a sign.
    pub(crate) fn bits(&mut self) -> Result<u64, Fault> {
        self.take::<i64>().map(i64::cast_unsigned)
    }

    /// Holder and length; a run that is held is due when its lease ends.
    pub(crate) fn lease(&mut self) -> Result<Option<(WorkerId, i64)>, Fault> {
        let holder = self.take::<Option<[u8; 16]>>()?;
        let length = self.take::<Option<i64>>()?;
        match (holder, length) {
            (Some(holder), Some(length)) => Ok(Some((WorkerId::from_bytes(holder), length))),
            (None, None) => Ok(None),
            _ => Err(self.unreadable(&"a lease has a holder and a length, or neither")),
        }
    }

    /// When the run is due, and with it the lease.
    pub(crate) fn due(
        &mut self,
        lease: Option<(WorkerId, i64)>,
    ) -> Result<(Option<Timestamp>, Option<Lease>), Fault> {
        let due_at = self.maybe_time()?;
        match (lease, due_at) {
            (None, _) => Ok((due_at, None)),
            (Some((holder, length)), Some(until)) => {
                Ok((due_at, Some(Lease { holder, until, length: length_of(length) })))
            }
            (Some(_), None) => Err(self.unreadable(&"a run that is held has an end of its lease")),
        }
    }

    fn maybe_count(&mut self) -> Result<Option<u32>, Fault> {
        self.map(|value: Option<i64>| {
            value.map(u32::try_from).transpose().map_err(|_| format!("{value:?} is no count"))
        })
    }

    pub(crate) fn position(&mut self) -> Result<Position, Fault> {
        self.map(|packed: i64| match packed {
            0.. => Ok(Position::from(packed)),
            _ => Err(format!("{packed} is no position")),
        })
    }

    fn fan(&mut self) -> Result<Option<Fan>, Fault> {
        let Some(stage) = self.maybe_count()? else {
            self.skip(4);
            return Ok(None);
        };
        let width = self.maybe_count()?;
        Ok(Some(Fan { stage, width, entered: self.count()?, finished: self.count()?, low: self.count()? }))
    }

    fn parent(&mut self) -> Result<Option<Parent>, Fault> {
        let Some(run) = self.take::<Option<[u8; 16]>>()? else {
            self.skip(1);
            return Ok(None);
        };
        Ok(Some(Parent { run: RunId::from_bytes(run), position: self.position()? }))
    }

    fn origin(&mut self) -> Result<Option<Origin>, Fault> {
        let Some(run) = self.take::<Option<[u8; 16]>>()? else {
            self.skip(1);
            return Ok(None);
        };
        Ok(Some(Origin { run: RunId::from_bytes(run), step: self.text()? }))
    }

    fn child(&mut self) -> Result<Option<Child>, Fault> {
        let Some(run) = self.take::<Option<[u8; 16]>>()? else {
            self.skip(1);
            return Ok(None);
        };
        Ok(Some(Child { run: RunId::from_bytes(run), generation: self.count()? }))
    }

    /// What few rows have: something that is being undone.
    fn undo<T: DeserializeOwned>(&mut self) -> Result<Option<Box<T>>, Fault> {
        self.map(|text: Option<Words>| {
            let parsed = text.map(|text| serde_json::from_str(&text.0));
            parsed.transpose().map_err(|error| error.to_string())
        })
    }

    /// What the run has taken of the limits, and which of them it waits for.
    pub(crate) fn permits(&mut self) -> Result<Permits, Fault> {
        let (running, calls) = (self.maybe_text()?, self.maybe_text()?);
        let blocked = self.maybe_text()?.map(|by| Blocked { by, until: None });
        Ok(Permits { running, calls, blocked })
    }

    fn spared(&mut self) -> Result<Vec<Text>, Fault> {
        self.map(|text: Option<Words>| match text {
            None => Ok(Vec::new()),
            Some(text) => serde_json::from_str(&text.0).map_err(|error| error.to_string()),
        })
    }

    fn cause(&mut self) -> Result<Option<Cause>, Fault> {
        let kind = self.map(|code: Option<i64>| match code {
            None => Ok(None),
            Some(code) => cause_of(code).map(Some).ok_or_else(|| format!("{code} is no kind of cause")),
        })?;
        let step = self.maybe_text()?;
        let text = self.maybe_text()?;
        Ok(kind.map(|kind| Cause { step, kind, text: text.unwrap_or_default() }))
    }
}

/// Text without a `String` in between.
struct Words(Text);

impl FromSql for Words {
    fn column_result(value: ValueRef<'_>) -> Result<Self, FromSqlError> {
        value.as_str().map(|text| Self(Text::from(text)))
    }
}

/// The run in a row of [`run_columns`].
pub(crate) fn run(row: &Row<'_>, definitions: &mut Definitions<'_>) -> Result<(Locator, Run), Fault> {
    let mut columns = Columns::new("runs", row);
    let locator = Locator(columns.bits()?);
    let id = RunId::from_bytes(columns.take()?);
    let definition = columns.take::<i64>()?;
    let definition = definitions
        .resolve(definition)?
        .ok_or_else(|| columns.unreadable(&format_args!("there is no definition {definition}")))?;
    let status = columns.status()?;
    let priority = columns.take()?;
    let paused = columns.flag()?;
    let crashes = columns.count()?;
    let epoch = Epoch(columns.bits()?);
    let lease = columns.lease()?;
    let (due_at, lease) = columns.due(lease)?;
    let inbox_seq = columns.bits()?;
    let fan = columns.fan()?;
    let created_at = columns.time()?;
    let started_at = columns.maybe_time()?;
    let ended_at = columns.maybe_time()?;
    let parent = columns.parent()?;
    let origin = columns.origin()?;
    let key = columns.maybe_text()?;
    let stuck = columns.maybe_text()?;
    let cause = columns.cause()?;
    let metadata = columns.metadata()?;
    let input = columns.text()?;
    let output = columns.maybe_text()?;
    let undo = columns.undo()?;
    let sealed = columns.flag()?;
    let starts = columns.maybe_text()?;
    let spared = columns.spared()?;
    let mut permits = columns.permits()?;
    let until = columns.maybe_time()?;
    permits.blocked = permits.blocked.map(|blocked| Blocked { until, ..blocked });
    let state = RunState {
        status,
        output,
        cause,
        metadata,
        paused,
        crashes,
        stuck,
        fan,
        undo,
        starts,
        started_at,
        ended_at,
    };
    let run = Run {
        id,
        definition,
        input,
        key,
        priority,
        parent,
        origin,
        created_at,
        state,
        epoch,
        lease,
        due_at,
        inbox_seq,
        sealed,
        permits,
        spared,
    };
    Ok((locator, run))
}

/// Where the record in a row of [`record_columns`] stands.
pub(crate) fn position(row: &Row<'_>) -> Result<Position, Fault> {
    Columns::new("records", row).position()
}

/// The record in a row of [`record_columns`].
pub(crate) fn record(row: &Row<'_>) -> Result<StepRecord, Fault> {
    let mut columns = Columns::new("records", row);
    Ok(StepRecord {
        position: columns.position()?,
        name: columns.text()?,
        status: columns.status()?,
        resumable: columns.flag()?,
        attempt: columns.count()?,
        errors: columns.count()?,
        state: columns.maybe_text()?,
        output: columns.maybe_text()?,
        error: columns.maybe_text()?,
        due_at: columns.maybe_time()?,
        awaits: columns.maybe_text()?,
        progress: {
            let done = columns.take::<Option<i64>>()?;
            let total = columns.take::<Option<i64>>()?;
            done.zip(total).map(|(done, total)| StepProgress {
                done: done.cast_unsigned(),
                total: total.cast_unsigned(),
            })
        },
        metadata: columns.metadata()?,
        entered_at: columns.time()?,
        ended_at: columns.maybe_time()?,
        child: columns.child()?,
        intent: columns.maybe_time()?,
        undo: columns.undo()?,
    })
}
