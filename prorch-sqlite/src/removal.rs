//! Runs that have ended and are removed: what `Removal` in core says, in SQL.

use prorch_core::repository::{Answer, Removal, Update};
use rusqlite::{Connection, Statement, params};

use crate::error::Fault;
use crate::hot::Hot;

/// No text is read for its length.
const SIZES: &str =
    "SELECT position, ifnull(octet_length(state), 0) + ifnull(octet_length(output), 0) FROM records
    WHERE run = ?1 ORDER BY position LIMIT ?2";
const REMOVE_RECORDS: &str = "DELETE FROM records WHERE run = ?1 AND position <= ?2";
const HAS_RECORDS: &str = "SELECT 1 FROM records WHERE run = ?1";
const REMOVE_MESSAGES: &str =
    "DELETE FROM messages WHERE run = ?1 AND id IN (SELECT id FROM messages WHERE run = ?1
    ORDER BY taken DESC, CASE WHEN taken = 0 THEN seq END, id LIMIT ?2)";
const HAS_MESSAGES: &str = "SELECT 1 FROM messages WHERE run = ?1";
const REMOVE_INPUT: &str = "DELETE FROM inputs WHERE run = ?1";
const REMOVE_RUN: &str = "DELETE FROM runs WHERE run = ?1";
const SEAL: &str = "UPDATE runs SET sealed = 1, epoch = ?2 WHERE run = ?1";

pub(crate) struct Removals<'c> {
    sizes: Statement<'c>,
    remove_records: Statement<'c>,
    has_records: Statement<'c>,
    remove_messages: Statement<'c>,
    has_messages: Statement<'c>,
    remove_input: Statement<'c>,
    remove_run: Statement<'c>,
    seal: Statement<'c>,
}

impl<'c> Removals<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            sizes: connection.prepare(SIZES)?,
            remove_records: connection.prepare(REMOVE_RECORDS)?,
            has_records: connection.prepare(HAS_RECORDS)?,
            remove_messages: connection.prepare(REMOVE_MESSAGES)?,
            has_messages: connection.prepare(HAS_MESSAGES)?,
            remove_input: connection.prepare(REMOVE_INPUT)?,
            remove_run: connection.prepare(REMOVE_RUN)?,
            seal: connection.prepare(SEAL)?,
        })
    }

    /// Removes so much of a run whose guard held.
    pub(crate) fn remove(&mut self, hot: &Hot, removal: Removal) -> Result<Answer, Fault> {
        if !hot.status.is_terminal() {
            return Ok(Answer::Rejected(Update::NOT_ENDED.into()));
        }
        if let Removal::UpTo { rows, bytes } = removal
            && self.empty(hot, rows, bytes)?
        {
            self.remove_input.execute([hot.place])?;
            self.remove_run.execute([hot.place])?;
            return Ok(Answer::Removed);
        }
        self.seal.execute(params![hot.place, hot.epoch.next().0.cast_signed()])?;
        Ok(Answer::Applied { inbox_seq: hot.inbox_seq })
    }

    /// Takes away so much of what hangs on the run, and says whether nothing is left.
    fn empty(&mut self, hot: &Hot, rows: usize, bytes: usize) -> Result<bool, Fault> {
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        let left = rows - self.records(hot.place, rows, bytes)?;
        if self.has_records.exists([hot.place])? {
            return Ok(false);
        }
        if hot.inbox_seq == 0 {
            return Ok(true);
        }
        self.remove_messages.execute([hot.place, left])?;
        Ok(!self.has_messages.exists([hot.place])?)
    }

    /// Takes away the first records, and says how many.
    fn records(&mut self, place: i64, rows: i64, bytes: usize) -> Result<i64, Fault> {
        let (mut count, mut gone, mut last) = (0, 0, None::<i64>);
        let mut found = self.sizes.query([place, rows])?;
        while gone < bytes
            && let Some(row) = found.next()?
        {
            last = Some(row.get(0)?);
            gone = gone.saturating_add(usize::try_from(row.get::<_, i64>(1)?).unwrap_or(usize::MAX));
            count += 1;
        }
        drop(found);
        if let Some(last) = last {
            self.remove_records.execute([place, last])?;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::plan;

    #[test]
    fn what_hangs_on_a_run_is_found_by_its_place() {
        for sql in [SIZES, REMOVE_RECORDS, HAS_RECORDS] {
            assert!(plan(sql).starts_with("SEARCH records USING"), "{sql}: {}", plan(sql));
            assert!(!plan(sql).contains("TEMP B-TREE"), "{sql}: {}", plan(sql));
        }
        for sql in [REMOVE_MESSAGES, HAS_MESSAGES] {
            assert!(!plan(sql).contains("SCAN"), "{sql}: {}", plan(sql));
        }
    }
}
