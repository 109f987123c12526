//! Search: what `Filter::page` in core says. SQL narrows it down and orders; `Filter::matches` has the last word.

use prorch_core::repository::{Cursor, Definition, Filter, Order, Page, Run, RunId, Status, Timestamp};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::codes::status_code;
use crate::definitions::Definitions;
use crate::ended::Ended;
use crate::error::Fault;
use crate::read::Reads;

const BY_START: &str = "id";
const BY_URGENCY: &str = "priority, CASE WHEN paused <> 0 THEN 9223372036854775807 WHEN blocked IS NOT NULL THEN ifnull((SELECT opens_at FROM gates WHERE gate = blocked), 9223372036854775807) ELSE ifnull(due_at, 9223372036854775807) END, id";
const BY_DUE: &str = "CASE WHEN paused <> 0 THEN 9223372036854775807 WHEN blocked IS NOT NULL THEN ifnull((SELECT opens_at FROM gates WHERE gate = blocked), 9223372036854775807) ELSE ifnull(due_at, 9223372036854775807) END, id";
const BY_END: &str = "ifnull(ended_at, 9223372036854775807), id";

/// The two indexes that share the runs that are not ended; among a million that are, this finds them.
const ACTIVE: &str = "run IN (
    SELECT run FROM runs INDEXED BY runs_due WHERE lane IS NOT NULL
    UNION ALL
    SELECT run FROM runs INDEXED BY runs_resting WHERE status < 2 AND lane IS NULL)";
const DUE: &str = "(paused = 0 AND due_at IS NOT NULL AND CASE
    WHEN blocked IS NOT NULL THEN ifnull((SELECT opens_at FROM gates WHERE gate = blocked) <= ?, 0)
    ELSE due_at <= ? OR lease_length IS NOT NULL AND due_at - ? > 2 * lease_length END)";
const DUE_BY: &str = "(CASE WHEN blocked IS NULL THEN due_at <= ? OR due_at > ?
    ELSE (SELECT opens_at <= ? OR opens_at > ? FROM gates WHERE gate = blocked) END)";
const OF_PIPELINE: &str = "pipeline = (SELECT pipeline FROM pipelines WHERE name = ?)";

/// The page that the filter finds, in a transaction of the caller's.
pub(crate) fn search(
    connection: &Connection,
    reads: &mut Reads<'_>,
    definitions: &mut Definitions<'_>,
    filter: &Filter,
) -> Result<Page, Fault> {
    if let Some(ended) = Ended::of(filter) {
        return first_ended(connection, reads, definitions, &ended, filter.limit);
    }
    let conditions = Conditions::of(filter, definitions)?;
    let total =
        if filter.total { Some(conditions.count(connection, reads, definitions, filter)?) } else { None };
    let mut runs = conditions.page(connection, reads, definitions, filter)?;
    let more = runs.len() > filter.limit;
    runs.truncate(filter.limit);
    let last = if more && filter.order == Order::Started { runs.last() } else { None };
    Ok(Page { next: last.map(|run| Cursor(run.id)), total, runs })
}

/// The page of those that ended first. Rows that can't be read are passed over; for each of them one more is looked at.
fn first_ended(
    connection: &Connection,
    reads: &mut Reads<'_>,
    definitions: &mut Definitions<'_>,
    ended: &Ended<'_>,
    limit: usize,
) -> Result<Page, Fault> {
    let mut most = limit;
    loop {
        let places = ended.places(connection, most)?;
        let is_all = places.len() < most;
        let mut runs = Vec::with_capacity(places.len());
        for place in places {
            runs.extend(readable(reads, definitions, place)?);
        }
        if is_all || runs.len() >= limit {
            runs.truncate(limit);
            return Ok(Page { runs, ..Page::default() });
        }
        most = most.saturating_mul(2);
    }
}

/// The run in the row at `place`; one that can't be read is named and passed over.
fn readable(
    reads: &mut Reads<'_>,
    definitions: &mut Definitions<'_>,
    place: i64,
) -> Result<Option<Run>, Fault> {
    match reads.at(definitions, place) {
        Ok(found) => Ok(found.map(|(_, run)| run)),
        Err(fault @ Fault::Unreadable { .. }) => {
            reads.name(place, &fault);
            Ok(None)
        }
        Err(fault) => Err(fault),
    }
}

/// What must hold, as SQL whose every value is bound.
struct Conditions {
    sql: String,
    values: Vec<Value>,
}

impl Conditions {
    fn of(filter: &Filter, definitions: &mut Definitions<'_>) -> Result<Self, Fault> {
        let mut conditions = Self { sql: "1".into(), values: Vec::new() };
        conditions.statuses(&filter.statuses);
        if let Some(name) = &filter.pipeline {
            conditions.and(OF_PIPELINE, [text(name)]);
        }
        if let Some(known) = &filter.definitions {
            conditions.among("definition IN (", numbers(known, definitions)?);
        }
        if !filter.other_than.is_empty() {
            conditions.among("definition NOT IN (", numbers(&filter.other_than, definitions)?);
        }
        if let Some(key) = &filter.key {
            conditions.and("key = ?", [text(key)]);
        }
        conditions.runs("origin", &filter.origins);
        conditions.runs("parent", &filter.parents);
        conditions.either(filter.child, "parent IS NOT NULL", "parent IS NULL");
        conditions.either(filter.sealed, "sealed = 1", "sealed = 0");
        if let Some(from) = filter.ended_from {
            conditions.and("ended_at >= ?", [time(from)]);
        }
        if let Some(before) = filter.ended_before {
            conditions.and("ended_at < ?", [time(before)]);
        }
        if let Some(from) = filter.created_from {
            conditions.and("created_at >= ?", [time(from)]);
        }
        if let Some(before) = filter.created_before {
            conditions.and("created_at < ?", [time(before)]);
        }
        if let Some(now) = filter.due {
            conditions.and(DUE, [time(now), time(now), time(now)]);
            if let Some(by) = filter.due_by {
                conditions.and(DUE_BY, [time(by), time(now), time(by), time(now)]);
            }
        }
        conditions.either(
            filter.suspect,
            "crashes + (holder IS NOT NULL) >= 2",
            "crashes + (holder IS NOT NULL) < 2",
        );
        conditions.either(filter.stuck, "stuck IS NOT NULL", "stuck IS NULL");
        Ok(conditions)
    }

    fn statuses(&mut self, statuses: &[Status]) {
        if statuses.is_empty() {
            return;
        }
        if !statuses.iter().any(|status| status.is_terminal()) {
            self.and(ACTIVE, []);
        }
        self.among("status IN (", statuses.iter().map(|status| status_code(*status)).collect());
    }

    fn and<const N: usize>(&mut self, condition: &str, values: [Value; N]) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
        self.values.extend(values);
    }

    fn among(&mut self, opening: &str, values: Vec<i64>) {
        self.and(opening, []);
        self.sql.push_str(&vec!["?"; values.len()].join(", "));
        self.sql.push(')');
        self.values.extend(values.into_iter().map(Value::Integer));
    }

    /// Whether this column is one of these runs, if they are any. One alone is compared, so that the index has the order.
    fn runs(&mut self, column: &str, these: &[RunId]) {
        let values = these.iter().map(|run| blob(*run));
        match these {
            [] => {}
            [_] => self.and(&[column, " = ?"].concat(), []),
            _ => self.and(&[column, " IN (", &vec!["?"; these.len()].join(", "), ")"].concat(), []),
        }
        self.values.extend(values);
    }

    fn either(&mut self, choice: Option<bool>, yes: &str, no: &str) {
        if let Some(choice) = choice {
            self.and(if choice { yes } else { no }, []);
        }
    }

    fn count(
        &self,
        connection: &Connection,
        reads: &mut Reads<'_>,
        definitions: &mut Definitions<'_>,
        filter: &Filter,
    ) -> Result<u64, Fault> {
        if filter.metadata.is_empty() {
            let sql = ["SELECT count(*) FROM runs WHERE ", self.sql.as_str()].concat();
            let count =
                connection.prepare(&sql)?.query_row(params_from_iter(&self.values), |row| row.get(0))?;
            return Ok(i64::cast_unsigned(count));
        }
        let mut count = 0;
        self.visit(connection, reads, definitions, filter, BY_START, |_| {
            count += 1;
            true
        })?;
        Ok(count)
    }

    /// The runs of the page, and one more when there are more.
    fn page(
        mut self,
        connection: &Connection,
        reads: &mut Reads<'_>,
        definitions: &mut Definitions<'_>,
        filter: &Filter,
    ) -> Result<Vec<Run>, Fault> {
        let order = match filter.order {
            Order::Started => BY_START,
            Order::Urgency => BY_URGENCY,
            Order::Due => BY_DUE,
            Order::Ended => BY_END,
        };
        if let (Order::Started, Some(Cursor(last))) = (filter.order, filter.after) {
            self.and("id > ?", [blob(last)]);
        }
        if let (Order::Ended, Some(Cursor(last)), Some(from)) =
            (filter.order, filter.after, filter.ended_from)
        {
            self.and("(ended_at, id) > (?, ?)", [time(from), blob(last)]);
        }
        let mut found = Vec::new();
        self.visit(connection, reads, definitions, filter, order, |run| {
            found.push(run);
            found.len() <= filter.limit
        })?;
        Ok(found)
    }

    /// Shows the runs in order, until `see` has enough. A row that can't be read is passed over.
    fn visit(
        &self,
        connection: &Connection,
        reads: &mut Reads<'_>,
        definitions: &mut Definitions<'_>,
        filter: &Filter,
        order: &str,
        mut see: impl FnMut(Run) -> bool,
    ) -> Result<(), Fault> {
        let sql = ["SELECT run FROM runs WHERE ", self.sql.as_str(), " ORDER BY ", order].concat();
        let mut statement = connection.prepare(&sql)?;
        let mut rows = statement.query(params_from_iter(&self.values))?;
        while let Some(row) = rows.next()? {
            let place = row.get(0)?;
            let run = readable(reads, definitions, place)?;
            let matching = run.filter(|run| filter.matches(run));
            if matching.is_some_and(|run| !see(run)) {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// The numbers of those definitions that the store knows.
fn numbers(known: &[Definition], definitions: &mut Definitions<'_>) -> Result<Vec<i64>, Fault> {
    let mut numbers = Vec::with_capacity(known.len());
    for definition in known {
        numbers.extend(definitions.find(definition)?.map(|interned| interned.definition));
    }
    Ok(numbers)
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn blob(run: RunId) -> Value {
    Value::Blob(run.as_bytes().to_vec())
}

const fn time(time: Timestamp) -> Value {
    Value::Integer(time.as_micros())
}
