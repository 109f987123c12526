//! The runs that ended first: what a retention asks for, again and again, whatever else is stored.

use prorch_core::repository::{Cursor, Filter, Order, Status, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use crate::codes::status_code;
use crate::error::Fault;

/// Of one pipeline and one status: the index has them in their order.
const OF_ONE: &str = "SELECT run, ended_at, id FROM runs INDEXED BY runs_ended
    WHERE pipeline = ?1 AND status = ?2 AND ended_at >= ?3 AND ended_at < ?4 AND parent IS NULL
    ORDER BY ended_at, id";
const PIPELINES: &str = "SELECT pipeline FROM pipelines";
const PIPELINE: &str = "SELECT pipeline FROM pipelines WHERE name = ?1";

/// A filter that asks for nothing but that.
pub(crate) struct Ended<'f> {
    filter: &'f Filter,
    before: Timestamp,
    statuses: Vec<Status>,
}

impl<'f> Ended<'f> {
    /// None when the filter asks for something else.
    pub(crate) fn of(filter: &'f Filter) -> Option<Self> {
        let before = filter.ended_before?;
        let of_ends = Filter {
            statuses: filter.statuses.clone(),
            pipeline: filter.pipeline.clone(),
            child: Some(false),
            ended_from: filter.ended_from,
            ended_before: filter.ended_before,
            order: Order::Ended,
            after: filter.after,
            limit: filter.limit,
            ..Filter::all()
        };
        let fits = *filter == of_ends;
        let statuses = match &filter.statuses[..] {
            [] => Status::ALL.into_iter().filter(|status| status.is_terminal()).collect(),
            some => some.to_vec(),
        };
        fits.then_some(Self { filter, before, statuses })
    }

    /// The first of them, so many at the most, in their order.
    pub(crate) fn places(&self, connection: &Connection, most: usize) -> Result<Vec<i64>, Fault> {
        let mut found = Vec::new();
        for pipeline in self.pipelines(connection)? {
            for status in &self.statuses {
                found.extend(self.of_one(connection, pipeline, *status, most)?);
            }
        }
        found.sort_unstable();
        Ok(found.into_iter().map(|(_, _, place)| place).take(most).collect())
    }

    fn pipelines(&self, connection: &Connection) -> Result<Vec<i64>, Fault> {
        if let Some(name) = &self.filter.pipeline {
            let found = connection.prepare(PIPELINE)?.query_row([&**name], |row| row.get(0));
            return Ok(found.optional()?.into_iter().collect());
        }
        let mut statement = connection.prepare(PIPELINES)?;
        let found = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(found)
    }

    fn of_one(
        &self,
        connection: &Connection,
        pipeline: i64,
        status: Status,
        most: usize,
    ) -> Result<Vec<(i64, [u8; 16], i64)>, Fault> {
        let from = self.filter.ended_from.map_or(i64::MIN, Timestamp::as_micros);
        let after = self.filter.after.map(|Cursor(last)| (from, *last.as_bytes()));
        let mut statement = connection.prepare(OF_ONE)?;
        let mut rows =
            statement.query(params![pipeline, status_code(status), from, self.before.as_micros()])?;
        let mut found = Vec::new();
        while found.len() < most
            && let Some(row) = rows.next()?
        {
            let (place, ended_at, id): (i64, i64, [u8; 16]) = (row.get(0)?, row.get(1)?, row.get(2)?);
            if after.is_none_or(|after| (ended_at, id) > after) {
                found.push((ended_at, id, place));
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::plan;

    #[test]
    fn the_first_that_ended_are_found_by_the_index() {
        let plan = plan(OF_ONE);
        assert!(
            plan.starts_with("SEARCH runs USING INDEX runs_ended (pipeline=? AND status=? AND ended_at>?"),
            "{plan}"
        );
        assert!(!plan.contains("USE TEMP B-TREE FOR ORDER BY"), "{plan}");
    }
}
