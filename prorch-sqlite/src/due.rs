//! Which runs are due, read from the index alone: what it costs does not depend on how many wait.

use prorch_core::repository::{ClaimRequest, Timestamp};
use rusqlite::{Connection, OptionalExtension, Statement, params};

use crate::definitions::Definitions;
use crate::error::Fault;

/// The next priority at which anything waits, so that empty ones are skipped.
const NEXT_PRIORITY: &str = "SELECT priority FROM runs INDEXED BY runs_due
    WHERE definition = ?1 AND priority > ?2 AND due_at IS NOT NULL AND paused = 0 AND crashes < 2
    ORDER BY priority LIMIT 1";
/// The next longer lease under which runs are held; most stores know one length.
const NEXT_LENGTH: &str = "SELECT lease_length FROM runs INDEXED BY runs_due
    WHERE definition = ?1 AND priority = ?2 AND lease_length > ?3
    AND due_at IS NOT NULL AND paused = 0 AND crashes < 2
    ORDER BY lease_length LIMIT 1";
const IDLE: &str = "SELECT run, due_at FROM runs INDEXED BY runs_due
    WHERE definition = ?1 AND priority = ?2 AND lease_length IS NULL AND due_at <= ?3
    AND due_at IS NOT NULL AND paused = 0 AND crashes < 2
    ORDER BY due_at, run LIMIT ?4";
const HELD: &str = "SELECT run, due_at FROM runs INDEXED BY runs_due
    WHERE definition = ?1 AND priority = ?2 AND lease_length = ?3 AND due_at BETWEEN ?4 AND ?5
    AND due_at IS NOT NULL AND paused = 0 AND crashes < 2
    ORDER BY due_at, run LIMIT ?6";
/// Suspects are few, so they are looked through.
const SUSPECT: &str = "SELECT run, priority, due_at FROM runs INDEXED BY runs_suspect
    WHERE definition = ?1 AND due_at IS NOT NULL AND paused = 0 AND crashes >= 2
    AND CASE WHEN lease_length IS NULL THEN due_at <= ?2
             ELSE due_at <= ?3 OR due_at - ?4 > 2 * lease_length END
    ORDER BY priority, due_at, run LIMIT 1";
const EARLIEST: &str = "SELECT due_at FROM runs INDEXED BY runs_due
    WHERE definition = ?1 AND priority = ?2 AND lease_length IS ?3
    AND due_at IS NOT NULL AND paused = 0 AND crashes < 2
    ORDER BY due_at LIMIT 1";
const EARLIEST_SUSPECT: &str = "SELECT min(due_at) FROM runs INDEXED BY runs_suspect
    WHERE definition = ?1 AND due_at IS NOT NULL AND paused = 0 AND crashes >= 2";

/// A run that may be claimed, as the index has it. Sorts by urgency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Candidate {
    priority: i64,
    due_at: i64,
    pub(crate) place: i64,
}

pub(crate) struct Due<'c> {
    next_priority: Statement<'c>,
    next_length: Statement<'c>,
    idle: Statement<'c>,
    held: Statement<'c>,
    suspect: Statement<'c>,
    earliest: Statement<'c>,
    earliest_suspect: Statement<'c>,
}

impl<'c> Due<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            next_priority: connection.prepare(NEXT_PRIORITY)?,
            next_length: connection.prepare(NEXT_LENGTH)?,
            idle: connection.prepare(IDLE)?,
            held: connection.prepare(HELD)?,
            suspect: connection.prepare(SUSPECT)?,
            earliest: connection.prepare(EARLIEST)?,
            earliest_suspect: connection.prepare(EARLIEST_SUSPECT)?,
        })
    }

    /// The runs to claim, at most `request.limit`: a suspect, then one in eight by age, then the most urgent.
    pub(crate) fn candidates(
        &mut self,
        definitions: &mut Definitions<'_>,
        request: &ClaimRequest,
    ) -> Result<Vec<Candidate>, Fault> {
        let known = numbers(definitions, request)?;
        let suspect = if request.suspect { self.suspect(&known, request)? } else { None };
        let mut found = self.waiting(&known, request)?;
        found.sort_unstable();
        Ok(choose(suspect, found, request.limit))
    }

    /// All that could be chosen: of each priority as many as could still be, if nothing else was.
    fn waiting(&mut self, known: &[i64], request: &ClaimRequest) -> Result<Vec<Candidate>, Fault> {
        let mut found = Vec::new();
        for &definition in known {
            let mut room = request.limit;
            let mut priority = -1;
            while let Some(next) = self.next_priority(definition, priority)? {
                priority = next;
                let before = found.len();
                let most = room.max(request.limit / 8);
                self.at_priority(definition, priority, request, most, &mut found)?;
                room = room.saturating_sub(found.len() - before);
            }
        }
        Ok(found)
    }

    fn next_priority(&mut self, definition: i64, after: i64) -> Result<Option<i64>, Fault> {
        let found = self.next_priority.query_row([definition, after], |row| row.get(0));
        Ok(found.optional()?)
    }

    fn next_length(&mut self, definition: i64, priority: i64, after: i64) -> Result<Option<i64>, Fault> {
        let found = self.next_length.query_row([definition, priority, after], |row| row.get(0));
        Ok(found.optional()?)
    }

    /// Idle runs that are due, runs whose lease ran out, and those whose lease was stamped by a clock that is ahead.
    fn at_priority(
        &mut self,
        definition: i64,
        priority: i64,
        request: &ClaimRequest,
        most: usize,
        found: &mut Vec<Candidate>,
    ) -> Result<(), Fault> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let due_by = request.due_by.as_micros();
        collect(&mut self.idle, params![definition, priority, due_by, most], priority, found)?;
        let mut length = -1;
        while let Some(next) = self.next_length(definition, priority, length)? {
            length = next;
            let ranges = [(i64::MIN, due_by.min(request.now.as_micros())), ahead(request.now, length)];
            for (from, to) in ranges.into_iter().filter(|(from, to)| from <= to) {
                let range = params![definition, priority, length, from, to, most];
                collect(&mut self.held, range, priority, found)?;
            }
        }
        Ok(())
    }

    fn suspect(&mut self, known: &[i64], request: &ClaimRequest) -> Result<Option<Candidate>, Fault> {
        let (due_by, now) = (request.due_by.as_micros(), request.now.as_micros());
        let mut first = None;
        for &definition in known {
            let found = self.suspect.query_row(params![definition, due_by, due_by.min(now), now], |row| {
                Ok(Candidate { place: row.get(0)?, priority: row.get(1)?, due_at: row.get(2)? })
            });
            first = first.into_iter().chain(found.optional()?).min();
        }
        Ok(first)
    }

    /// The earliest time at which a claim could bring something.
    pub(crate) fn earliest(
        &mut self,
        definitions: &mut Definitions<'_>,
        request: &ClaimRequest,
    ) -> Result<Option<Timestamp>, Fault> {
        let mut earliest: Option<i64> = None;
        for definition in numbers(definitions, request)? {
            let mut priority = -1;
            while let Some(next) = self.next_priority(definition, priority)? {
                priority = next;
                earliest = sooner(earliest, self.earliest_at(definition, priority)?);
            }
            if request.suspect {
                let found = self.earliest_suspect.query_row([definition], |row| row.get(0))?;
                earliest = sooner(earliest, found);
            }
        }
        Ok(earliest.map(Timestamp::from_micros))
    }

    fn earliest_at(&mut self, definition: i64, priority: i64) -> Result<Option<i64>, Fault> {
        let mut earliest = self.earliest_of(definition, priority, None)?;
        let mut length = -1;
        while let Some(next) = self.next_length(definition, priority, length)? {
            length = next;
            earliest = sooner(earliest, self.earliest_of(definition, priority, Some(length))?);
        }
        Ok(earliest)
    }

    fn earliest_of(
        &mut self,
        definition: i64,
        priority: i64,
        length: Option<i64>,
    ) -> Result<Option<i64>, Fault> {
        let found = self.earliest.query_row(params![definition, priority, length], |row| row.get(0));
        Ok(found.optional()?)
    }
}

/// The numbers of those definitions of which any run was ever stored.
fn numbers(definitions: &mut Definitions<'_>, request: &ClaimRequest) -> Result<Vec<i64>, Fault> {
    let mut numbers = Vec::with_capacity(request.definitions.len());
    for definition in request.definitions.iter() {
        numbers.extend(definitions.find(definition)?.map(|interned| interned.definition));
    }
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}

/// When leases of this length end that were stamped by another clock (see `Lease::is_live`).
fn ahead(now: Timestamp, length: i64) -> (i64, i64) {
    let last_ours = now.as_micros().saturating_add(length.saturating_mul(2));
    match last_ours.checked_add(1) {
        Some(from) => (from, i64::MAX),
        None => (1, 0),
    }
}

fn collect(
    statement: &mut Statement<'_>,
    range: impl rusqlite::Params,
    priority: i64,
    found: &mut Vec<Candidate>,
) -> Result<(), Fault> {
    let mut rows = statement.query(range)?;
    while let Some(row) = rows.next()? {
        found.push(Candidate { priority, place: row.get(0)?, due_at: row.get(1)? });
    }
    Ok(())
}

/// Takes from `found`, which is sorted by urgency: one place in eight for the longest due, so that no run starves.
fn choose(suspect: Option<Candidate>, found: Vec<Candidate>, limit: usize) -> Vec<Candidate> {
    let by_age = limit / 8;
    let room = limit.saturating_sub(usize::from(suspect.is_some()));
    let suspect = suspect.into_iter().take(limit);
    if found.len() <= room {
        return suspect.chain(found).collect();
    }
    let mut oldest = found.clone();
    oldest.sort_unstable_by_key(|candidate| (candidate.due_at, candidate.place));
    oldest.truncate(by_age.min(room));
    let mut aged: Vec<i64> = oldest.iter().map(|candidate| candidate.place).collect();
    aged.sort_unstable();
    let urgent = found.into_iter().filter(|candidate| aged.binary_search(&candidate.place).is_err());
    let rest = room - oldest.len();
    suspect.chain(oldest).chain(urgent.take(rest)).collect()
}

fn sooner(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    one.into_iter().chain(other).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What SQLite says that it will do.
    fn plan(sql: &str) -> String {
        let connection = crate::open::in_memory().unwrap();
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let values = vec![1; statement.parameter_count()];
        let lines =
            statement.query_map(rusqlite::params_from_iter(values), |row| row.get::<_, String>(3)).unwrap();
        lines.collect::<Result<Vec<_>, _>>().unwrap().join("; ")
    }

    #[test]
    fn what_a_claim_asks_is_read_from_the_index_in_order_and_from_nothing_else() {
        for sql in [NEXT_PRIORITY, NEXT_LENGTH, IDLE, HELD, EARLIEST] {
            let plan = plan(sql);
            assert!(
                plan.starts_with("SEARCH runs USING COVERING INDEX runs_due (definition=?"),
                "{sql}: {plan}"
            );
            assert!(!plan.contains("B-TREE"), "{sql}: {plan}");
        }
        for sql in [SUSPECT, EARLIEST_SUSPECT] {
            let plan = plan(sql);
            assert!(
                plan.starts_with("SEARCH runs USING COVERING INDEX runs_suspect (definition=?"),
                "{sql}: {plan}"
            );
        }
    }

    fn candidates(due: &[(i64, i64)]) -> Vec<Candidate> {
        let numbered = (1..).zip(due);
        numbered.map(|(place, &(priority, due_at))| Candidate { priority, due_at, place }).collect()
    }

    #[test]
    fn one_place_in_eight_goes_to_the_longest_due() {
        let mut found = candidates(&[(0, 90); 20]);
        found.push(Candidate { priority: 9, due_at: 1, place: 99 });
        let chosen = choose(None, found, 8);
        assert_eq!(chosen.len(), 8);
        assert_eq!(chosen.iter().filter(|candidate| candidate.place == 99).count(), 1);
    }

    #[test]
    fn no_lease_of_ours_ends_so_late_that_it_counts_as_stamped_by_another_clock() {
        let now = Timestamp::from_micros(100);
        assert_eq!(ahead(now, 10), (121, i64::MAX));
        let (from, to) = ahead(now, i64::MAX);
        assert!(from > to, "there is no such time");
    }
}
