//! The columns of a run's row by which an update is fenced and through which it wakes: a few numbers.

use prorch_core::repository::{Epoch, Lease, Locator, Permits, RunId, Status, Timestamp};
use rusqlite::{Connection, Row, Statement, params};

use crate::codes::micros;
use crate::columns::Columns;
use crate::error::Fault;

/// By its place, which a claim brought. The id is compared, because a place may be another run's after a clean-up.
const BY_PLACE: &str =
    "SELECT run, status, epoch, holder, lease_length, due_at, inbox_seq, paused, sealed, holds, calling,
    blocked FROM runs
    WHERE run = ?1 AND id = ?2";
const BY_ID: &str =
    "SELECT run, status, epoch, holder, lease_length, due_at, inbox_seq, paused, sealed, holds, calling,
    blocked FROM runs WHERE id = ?1";
const WRITE: &str = "UPDATE runs SET epoch = ?2, holder = ?3, lease_length = ?4, due_at = ?5, inbox_seq = ?6,
    paused = ?7 WHERE run = ?1";

/// What an update reads of its run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hot {
    /// The key of the row.
    pub(crate) place: i64,
    pub(crate) status: Status,
    pub(crate) epoch: Epoch,
    pub(crate) lease: Option<Lease>,
    pub(crate) due_at: Option<Timestamp>,
    pub(crate) inbox_seq: u64,
    pub(crate) paused: bool,
    pub(crate) sealed: bool,
    /// Written by `Gates`.
    pub(crate) permits: Permits,
}

impl Hot {
    fn read(row: &Row<'_>) -> Result<Self, Fault> {
        let mut columns = Columns::new("runs", row);
        let place = columns.take()?;
        let status = columns.status()?;
        let epoch = Epoch(columns.bits()?);
        let lease = columns.lease()?;
        let (due_at, lease) = columns.due(lease)?;
        let (inbox_seq, paused, sealed) = (columns.bits()?, columns.flag()?, columns.flag()?);
        let permits = columns.permits()?;
        Ok(Self { place, status, epoch, lease, due_at, inbox_seq, paused, sealed, permits })
    }

    /// The lease as its two columns.
    pub(crate) fn lease_parts(&self) -> (Option<&[u8; 16]>, Option<i64>) {
        (
            self.lease.as_ref().map(|lease| lease.holder.as_bytes()),
            self.lease.map(|lease| micros(lease.length)),
        )
    }
}

/// Reads and writes [`Hot`] columns.
pub(crate) struct HotRows<'c> {
    by_place: Statement<'c>,
    by_id: Statement<'c>,
    write: Statement<'c>,
}

impl<'c> HotRows<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            by_place: connection.prepare(BY_PLACE)?,
            by_id: connection.prepare(BY_ID)?,
            write: connection.prepare(WRITE)?,
        })
    }

    /// The run's columns; by its place where that is known and right.
    pub(crate) fn find(&mut self, locator: Locator, id: RunId) -> Result<Option<Hot>, Fault> {
        if locator != Locator::default() {
            let mut rows = self.by_place.query(params![locator.0.cast_signed(), id.as_bytes()])?;
            if let Some(row) = rows.next()? {
                return Hot::read(row).map(Some);
            }
        }
        let mut rows = self.by_id.query([id.as_bytes()])?;
        rows.next()?.map(Hot::read).transpose()
    }

    pub(crate) fn write(&mut self, hot: &Hot) -> Result<(), Fault> {
        let (holder, length) = hot.lease_parts();
        self.write.execute(params![
            hot.place,
            hot.epoch.0.cast_signed(),
            holder,
            length,
            hot.due_at.map(Timestamp::as_micros),
            hot.inbox_seq.cast_signed(),
            hot.paused,
        ])?;
        Ok(())
    }
}
