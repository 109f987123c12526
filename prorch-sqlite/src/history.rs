//! What happened to runs: added with the update that did it, and cut to a bounded length.

use std::collections::BTreeMap;

use prorch_core::repository::{Append, HistoryEntry};
use rusqlite::{Connection, OptionalExtension, Statement, params};

use crate::error::Fault;

const LAST: &str = "SELECT seq FROM history WHERE run = ?1 ORDER BY seq DESC LIMIT 1";
const ADD: &str = "INSERT INTO history (run, seq, entry) VALUES (?1, ?2, ?3)";
const CUT: &str = "DELETE FROM history WHERE run = ?1 AND seq >= ?2 AND seq < ?3";
const REMOVE: &str = "DELETE FROM history WHERE run = ?1";
const READ: &str = "SELECT seq, entry FROM history WHERE run = ?1 AND seq >= ?2 ORDER BY seq LIMIT ?3";

pub(crate) struct Histories<'c> {
    last: Statement<'c>,
    add: Statement<'c>,
    cut: Statement<'c>,
    remove: Statement<'c>,
}

impl<'c> Histories<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            last: connection.prepare(LAST)?,
            add: connection.prepare(ADD)?,
            cut: connection.prepare(CUT)?,
            remove: connection.prepare(REMOVE)?,
        })
    }

    pub(crate) fn append(&mut self, place: i64, append: &Append) -> Result<(), Fault> {
        let last: Option<u32> = self.last.query_row([place], |row| row.get(0)).optional()?;
        let mut next = last.map_or(0, |last| last.saturating_add(1));
        for entry in &append.entries {
            let json = serde_json::to_string(entry);
            let json =
                json.map_err(|error| Fault::unstorable(format!("an entry of the history ({error})")))?;
            self.add.execute(params![place, next, json])?;
            next = next.saturating_add(1);
        }
        let gap = append.gap(next.saturating_sub(1));
        if !gap.is_empty() {
            self.cut.execute(params![place, gap.start, gap.end])?;
        }
        Ok(())
    }

    pub(crate) fn remove(&mut self, place: i64) -> Result<(), Fault> {
        self.remove.execute([place])?;
        Ok(())
    }
}

/// The entries from this number on, so many at the most. One that can't be read is an error of the whole.
pub(crate) fn read(
    connection: &Connection,
    place: i64,
    from: u32,
    limit: usize,
) -> Result<BTreeMap<u32, HistoryEntry>, Fault> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare(READ)?;
    let mut rows = statement.query(params![place, from, limit])?;
    let mut entries = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let text: String = row.get(1)?;
        let entry = serde_json::from_str(&text).map_err(|error| Fault::Unreadable {
            column: "history.entry".to_owned(),
            why: error.to_string(),
        })?;
        entries.insert(row.get(0)?, entry);
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::plan;

    #[test]
    fn entries_are_found_by_their_places() {
        for sql in [LAST, CUT, REMOVE, READ] {
            assert!(plan(sql).starts_with("SEARCH history USING PRIMARY KEY"), "{sql}: {}", plan(sql));
            assert!(!plan(sql).contains("TEMP B-TREE"), "{sql}: {}", plan(sql));
        }
    }
}
