//! Which runs are due, read from the index alone: what it costs does not depend on how many wait.

use std::time::Duration;

use prorch_core::repository::{ClaimRequest, Clocks, Leases, Timestamp, WorkerId};
use rusqlite::{Connection, OptionalExtension, Params, Row, Statement, params};

use crate::definitions::Definitions;
use crate::error::Fault;

/// The next priority at which anything waits, so that empty ones are skipped.
const NEXT_PRIORITY: &str = "SELECT priority FROM runs INDEXED BY runs_due
    WHERE definition = ?1 AND lane = ?2 AND priority > ?3 ORDER BY priority LIMIT 1";
/// The next longer lease under which runs are held; most stores know one length.
const NEXT_LENGTH: &str = "SELECT lease_length FROM runs INDEXED BY runs_due
    WHERE definition = ?1 AND lane = ?2 AND priority = ?3 AND lease_length > ?4 ORDER BY lease_length LIMIT 1";
const IDLE: &str = "SELECT run, due_at FROM runs INDEXED BY runs_due
    WHERE definition = ?1 AND lane = ?2 AND priority = ?3 AND lease_length IS NULL AND due_at <= ?4
    ORDER BY due_at, run LIMIT ?5";
const HELD: &str = "SELECT run, due_at, holder FROM runs INDEXED BY runs_due
    WHERE definition = ?1 AND lane = ?2 AND priority = ?3 AND lease_length = ?4 AND due_at BETWEEN ?5 AND ?6
    ORDER BY due_at, run";
const HOLDERS: &str = "SELECT holder, due_at FROM runs INDEXED BY runs_due
    WHERE definition = ?1 AND lane = ?2 AND priority = ?3 AND lease_length = ?4";
const EARLIEST: &str = "SELECT due_at FROM runs INDEXED BY runs_due
    WHERE definition = ?1 AND lane = ?2 AND priority = ?3 AND lease_length IS ?4 ORDER BY due_at LIMIT 1";

/// The runs of a definition that stand in one lane, at one priority.
#[derive(Clone, Copy)]
struct Queue {
    definition: i64,
    lane: i64,
    priority: i64,
}

/// Most runs.
const REGULAR: i64 = 0;
/// Those suspect of killing their workers.
const SUSPECT: i64 = 1;

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
    holders: Statement<'c>,
    earliest: Statement<'c>,
}

impl<'c> Due<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            next_priority: connection.prepare(NEXT_PRIORITY)?,
            next_length: connection.prepare(NEXT_LENGTH)?,
            idle: connection.prepare(IDLE)?,
            held: connection.prepare(HELD)?,
            holders: connection.prepare(HOLDERS)?,
            earliest: connection.prepare(EARLIEST)?,
        })
    }

    /// How many steps of SQLite's machine its statements took so far.
    #[cfg(test)]
    pub(crate) fn steps(&self) -> i32 {
        let statements =
            [&self.next_priority, &self.next_length, &self.idle, &self.held, &self.holders, &self.earliest];
        statements.map(|statement| statement.get_status(rusqlite::StatementStatus::VmStep)).iter().sum()
    }

    /// The runs to claim, at most `request.limit`: a suspect, then those by age, then the most urgent.
    pub(crate) fn candidates(
        &mut self,
        definitions: &mut Definitions<'_>,
        request: &ClaimRequest,
    ) -> Result<Vec<Candidate>, Fault> {
        let known = numbers(definitions, request)?;
        let suspects = if request.suspect { self.waiting(&known, SUSPECT, request, 1)? } else { Vec::new() };
        let mut found = self.waiting(&known, REGULAR, request, request.limit)?;
        found.sort_unstable();
        Ok(choose(suspects.into_iter().min(), found, request))
    }

    /// All that could be chosen for `limit` places: of each priority as many as could still be, if nothing else was.
    fn waiting(
        &mut self,
        known: &[i64],
        lane: i64,
        request: &ClaimRequest,
        limit: usize,
    ) -> Result<Vec<Candidate>, Fault> {
        let mut found = Vec::new();
        for &definition in known {
            let mut room = limit;
            let mut queue = Queue { definition, lane, priority: -1 };
            while let Some(next) = self.next_queue(queue)? {
                queue = next;
                let before = found.len();
                self.collect(queue, request, room.max(request.by_age.min(limit)), &mut found)?;
                room = room.saturating_sub(found.len() - before);
            }
        }
        Ok(found)
    }

    /// The next less urgent queue in which anything stands.
    fn next_queue(&mut self, queue: Queue) -> Result<Option<Queue>, Fault> {
        let Queue { definition, lane, priority } = queue;
        let found = self.next_priority.query_row([definition, lane, priority], |row| row.get(0));
        Ok(found.optional()?.map(|priority| Queue { priority, ..queue }))
    }

    fn next_length(&mut self, queue: Queue, after: i64) -> Result<Option<i64>, Fault> {
        let Queue { definition, lane, priority } = queue;
        let found = self.next_length.query_row([definition, lane, priority, after], |row| row.get(0));
        Ok(found.optional()?)
    }

    /// Idle runs that are due, runs whose lease ran out, and those whose lease was stamped by a clock that is ahead.
    fn collect(
        &mut self,
        queue: Queue,
        request: &ClaimRequest,
        most: usize,
        found: &mut Vec<Candidate>,
    ) -> Result<(), Fault> {
        let Queue { definition, lane, priority } = queue;
        let due_by = request.due_by.as_micros();
        let first = i64::try_from(most).unwrap_or(i64::MAX);
        read(&mut self.idle, [definition, lane, priority, due_by, first], priority, found)?;
        let mut length = -1;
        while let Some(next) = self.next_length(queue, length)? {
            length = next;
            let ranges = [(i64::MIN, due_by.min(request.now.as_micros())), ahead(request.now, length)];
            for (from, to) in ranges.into_iter().filter(|(from, to)| from <= to) {
                let range = [definition, lane, priority, length, from, to];
                read_held(&mut self.held, range, &request.leases, most, found)?;
            }
        }
        Ok(())
    }

    /// The earliest time at which a claim could bring something.
    pub(crate) fn earliest(
        &mut self,
        definitions: &mut Definitions<'_>,
        request: &ClaimRequest,
    ) -> Result<Option<Timestamp>, Fault> {
        let lanes = if request.suspect { REGULAR..=SUSPECT } else { REGULAR..=REGULAR };
        let mut earliest = None;
        for definition in numbers(definitions, request)? {
            for lane in lanes.clone() {
                let mut queue = Queue { definition, lane, priority: -1 };
                while let Some(next) = self.next_queue(queue)? {
                    queue = next;
                    earliest = sooner(earliest, self.earliest_in(queue, &request.leases)?);
                }
            }
        }
        Ok(earliest.map(Timestamp::from_micros))
    }

    /// Who holds runs, and what they stamped.
    pub(crate) fn holders(
        &mut self,
        definitions: &mut Definitions<'_>,
        request: &ClaimRequest,
    ) -> Result<Clocks, Fault> {
        let mut clocks = Clocks::default();
        for definition in numbers(definitions, request)? {
            for lane in REGULAR..=SUSPECT {
                let mut queue = Queue { definition, lane, priority: -1 };
                while let Some(next) = self.next_queue(queue)? {
                    queue = next;
                    self.holders_in(queue, &mut clocks)?;
                }
            }
        }
        Ok(clocks)
    }

    fn holders_in(&mut self, queue: Queue, clocks: &mut Clocks) -> Result<(), Fault> {
        let Queue { definition, lane, priority } = queue;
        let mut length = -1;
        while let Some(next) = self.next_length(queue, length)? {
            length = next;
            let mut rows = self.holders.query([definition, lane, priority, length])?;
            while let Some(row) = rows.next()? {
                let until = Timestamp::from_micros(row.get(1)?);
                if let Some(holder) = holder(row, 0)? {
                    clocks.add(holder, until, Duration::from_micros(length.unsigned_abs()));
                }
            }
        }
        Ok(())
    }

    fn earliest_in(&mut self, queue: Queue, leases: &Leases) -> Result<Option<i64>, Fault> {
        let mut earliest = self.earliest_under(queue, None)?;
        if !leases.end_by_time() {
            return Ok(earliest);
        }
        let mut length = -1;
        while let Some(next) = self.next_length(queue, length)? {
            length = next;
            earliest = sooner(earliest, self.earliest_under(queue, Some(length))?);
        }
        Ok(earliest)
    }

    fn earliest_under(&mut self, queue: Queue, length: Option<i64>) -> Result<Option<i64>, Fault> {
        let Queue { definition, lane, priority } = queue;
        let found = self.earliest.query_row(params![definition, lane, priority, length], |row| row.get(0));
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

fn read(
    statement: &mut Statement<'_>,
    range: impl Params,
    priority: i64,
    found: &mut Vec<Candidate>,
) -> Result<(), Fault> {
    let mut rows = statement.query(range)?;
    while let Some(row) = rows.next()? {
        found.push(Candidate { priority, place: row.get(0)?, due_at: row.get(1)? });
    }
    Ok(())
}

/// The same for runs that are held: at most so many, and only those whose lease is over.
fn read_held(
    statement: &mut Statement<'_>,
    range: [i64; 6],
    leases: &Leases,
    most: usize,
    found: &mut Vec<Candidate>,
) -> Result<(), Fault> {
    let priority = range[2];
    let mut rows = statement.query(range)?;
    let mut room = most;
    while let Some(row) = rows.next()? {
        let due_at = row.get(1)?;
        let until = Timestamp::from_micros(due_at);
        if holder(row, 2)?.is_none_or(|holder| leases.are_over(holder, until)) {
            if room == 0 {
                return Ok(());
            }
            room -= 1;
            found.push(Candidate { priority, place: row.get(0)?, due_at });
        }
    }
    Ok(())
}

/// Who holds the run; none when that can't be read: whoever takes such a run finds that out, and leaves it.
fn holder(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<WorkerId>> {
    let bytes = row.get_ref(column)?.as_blob().ok();
    Ok(bytes.and_then(|bytes| bytes.try_into().ok()).map(WorkerId::from_bytes))
}

/// Takes from `found`, which is sorted by urgency: some places for the longest due, so that no run starves.
fn choose(suspect: Option<Candidate>, found: Vec<Candidate>, request: &ClaimRequest) -> Vec<Candidate> {
    let ClaimRequest { limit, by_age, .. } = *request;
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
    use std::time::Duration;

    use prorch_core::repository::{Definition, WorkerId};
    use rusqlite::StatementStatus;

    use super::*;
    use crate::plan::plan;

    #[test]
    fn what_a_claim_asks_is_found_in_the_index_and_needs_no_sorting() {
        for sql in [NEXT_PRIORITY, NEXT_LENGTH, IDLE, HELD, HOLDERS, EARLIEST] {
            let plan = plan(sql);
            assert!(
                plan.starts_with("SEARCH runs USING INDEX runs_due (definition=? AND lane=?"),
                "{sql}: {plan}"
            );
            assert!(!plan.contains("B-TREE"), "{sql}: {plan}");
        }
    }

    /// Ten runs of a known pipeline behind so many of an unknown one, all due and more urgent.
    fn behind(backlog: u32) -> Connection {
        let connection = crate::open::in_memory().unwrap();
        connection
            .execute_batch(
                "INSERT INTO pipelines VALUES (1, 'known'), (2, 'unknown');
                 INSERT INTO definitions VALUES (1, 1, 1, ''), (2, 2, 1, '');",
            )
            .unwrap();
        let insert =
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?2)
            INSERT INTO runs (id, definition, pipeline, status, priority, due_at, created_at, input)
            SELECT randomblob(16), ?1, ?1, 0, ?3, ?3, 0, 'null' FROM numbers WHERE n <= ?2";
        let mut insert = connection.prepare(insert).unwrap();
        if backlog > 0 {
            insert.execute([2, backlog, 0]).unwrap();
        }
        insert.execute([1, 10, 5]).unwrap();
        drop(insert);
        connection
    }

    fn request(limit: usize, by_age: usize) -> ClaimRequest {
        let now = Timestamp::from_micros(10);
        let known = Definition::new("known", 1);
        ClaimRequest {
            definitions: [known].into(),
            limit,
            by_age,
            suspect: true,
            holder: WorkerId::from_bytes([1; 16]),
            lease: Duration::from_secs(30),
            now,
            due_by: now,
            limits: std::sync::Arc::default(),
            leases: prorch_core::repository::Leases::ByTime,
        }
    }

    /// What it costs to find ten runs, and when the next is due, in steps of SQLite's machine.
    fn cost(connection: &Connection) -> i32 {
        let mut definitions = Definitions::prepare(connection).unwrap();
        let mut due = Due::prepare(connection).unwrap();
        let request = request(100, 12);
        assert_eq!(due.candidates(&mut definitions, &request).unwrap().len(), 10);
        assert_eq!(due.earliest(&mut definitions, &request).unwrap(), Some(Timestamp::from_micros(5)));
        let statements = [&due.next_priority, &due.next_length, &due.idle, &due.held, &due.earliest];
        for statement in statements {
            assert_eq!(statement.get_status(StatementStatus::FullscanStep), 0, "a table is walked through");
            assert_eq!(statement.get_status(StatementStatus::Sort), 0, "rows are sorted");
        }
        statements.map(|statement| statement.get_status(StatementStatus::VmStep)).iter().sum()
    }

    #[test]
    fn a_backlog_that_is_unknown_here_costs_a_claim_nothing() {
        assert_eq!(cost(&behind(20_000)), cost(&behind(1)));
    }

    fn candidates(due: &[(i64, i64)]) -> Vec<Candidate> {
        let numbered = (1..).zip(due);
        numbered.map(|(place, &(priority, due_at))| Candidate { priority, due_at, place }).collect()
    }

    #[test]
    fn places_by_age_go_to_the_longest_due() {
        let mut found = candidates(&[(0, 90); 20]);
        found.push(Candidate { priority: 9, due_at: 1, place: 99 });
        let chosen = choose(None, found, &request(8, 1));
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
