//! Which runs are due, read from the index alone: what it costs does not depend on how many wait.

use prorch_core::repository::{ClaimRequest, Timestamp};
use rusqlite::{Connection, OptionalExtension, Params, Statement, params};

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
const HELD: &str = "SELECT run, due_at FROM runs INDEXED BY runs_due
    WHERE definition = ?1 AND lane = ?2 AND priority = ?3 AND lease_length = ?4 AND due_at BETWEEN ?5 AND ?6
    ORDER BY due_at, run LIMIT ?7";
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
    earliest: Statement<'c>,
}

impl<'c> Due<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            next_priority: connection.prepare(NEXT_PRIORITY)?,
            next_length: connection.prepare(NEXT_LENGTH)?,
            idle: connection.prepare(IDLE)?,
            held: connection.prepare(HELD)?,
            earliest: connection.prepare(EARLIEST)?,
        })
    }

    /// The runs to claim, at most `request.limit`: a suspect, then one in eight by age, then the most urgent.
    pub(crate) fn candidates(
        &mut self,
        definitions: &mut Definitions<'_>,
        request: &ClaimRequest,
    ) -> Result<Vec<Candidate>, Fault> {
        let known = numbers(definitions, request)?;
        let suspects = if request.suspect { self.waiting(&known, SUSPECT, request, 1)? } else { Vec::new() };
        let mut found = self.waiting(&known, REGULAR, request, request.limit)?;
        found.sort_unstable();
        Ok(choose(suspects.into_iter().min(), found, request.limit))
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
                self.collect(queue, request, room.max(limit / 8), &mut found)?;
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
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let due_by = request.due_by.as_micros();
        read(&mut self.idle, [definition, lane, priority, due_by, most], priority, found)?;
        let mut length = -1;
        while let Some(next) = self.next_length(queue, length)? {
            length = next;
            let ranges = [(i64::MIN, due_by.min(request.now.as_micros())), ahead(request.now, length)];
            for (from, to) in ranges.into_iter().filter(|(from, to)| from <= to) {
                read(&mut self.held, [definition, lane, priority, length, from, to, most], priority, found)?;
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
                    earliest = sooner(earliest, self.earliest_in(queue)?);
                }
            }
        }
        Ok(earliest.map(Timestamp::from_micros))
    }

    fn earliest_in(&mut self, queue: Queue) -> Result<Option<i64>, Fault> {
        let mut earliest = self.earliest_under(queue, None)?;
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
    use crate::plan::plan;

    #[test]
    fn what_a_claim_asks_is_found_in_the_index_and_needs_no_sorting() {
        for sql in [NEXT_PRIORITY, NEXT_LENGTH, IDLE, HELD, EARLIEST] {
            let plan = plan(sql);
            assert!(
                plan.starts_with("SEARCH runs USING INDEX runs_due (definition=? AND lane=?"),
                "{sql}: {plan}"
            );
            assert!(!plan.contains("B-TREE"), "{sql}: {plan}");
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
