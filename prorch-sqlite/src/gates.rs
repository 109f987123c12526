//! Limits: what is taken of each, and who waits. What it means is said by `Runs` in core; what it costs does not depend on
//! how many wait.

use prorch_core::repository::{
    Blocked, ClaimRequest, Gate, LimitKind, Limits, Permits, Rate, Run, Text, Timestamp, Wants,
};
use rusqlite::{Connection, OptionalExtension, Row, Statement, params};

use crate::definitions::Definitions;
use crate::error::Fault;

const READ: &str = "SELECT taken, most, expected FROM gates WHERE gate = ?1";
const WRITE: &str = "INSERT INTO gates (gate, taken, most, expected, opens_at) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (gate) DO UPDATE SET taken = ?2, most = ?3, expected = ?4, opens_at = ?5";
const WAITING: &str = "SELECT run FROM runs INDEXED BY runs_blocked
    WHERE blocked = ?1 AND paused = 0 ORDER BY priority, due_at, run LIMIT 1";
const GIVE_RUNNING: &str = "UPDATE runs SET blocked = NULL, holds = ?2 WHERE run = ?1";
const GIVE_CALL: &str = "UPDATE runs SET blocked = NULL, calling = ?2 WHERE run = ?1";
const WRITE_PERMITS: &str = "UPDATE runs SET holds = ?2, calling = ?3, blocked = ?4 WHERE run = ?1";
const END_LEASE: &str =
    "UPDATE runs SET holder = NULL, lease_length = NULL, epoch = ?2, crashes = ?3 WHERE run = ?1";
const PACED: &str = "SELECT 1 FROM runs INDEXED BY runs_blocked
    WHERE blocked = ?1 AND paused = 0 AND definition = ?2 ORDER BY priority, due_at LIMIT 1";
const LET_THROUGH: &str =
    "UPDATE runs SET blocked = NULL WHERE run IN (SELECT run FROM runs INDEXED BY runs_blocked
    WHERE blocked = ?1 AND paused = 0 AND definition = ?2 ORDER BY priority, due_at LIMIT ?3)";

/// Reads and writes limits.
pub(crate) struct Gates<'c> {
    read: Statement<'c>,
    write: Statement<'c>,
    waiting: Statement<'c>,
    give_running: Statement<'c>,
    give_call: Statement<'c>,
    write_permits: Statement<'c>,
    end_lease: Statement<'c>,
    let_through: Statement<'c>,
    /// How often a run was handed what another one gave back.
    pub(crate) handed_over: u64,
}

impl<'c> Gates<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            read: connection.prepare(READ)?,
            write: connection.prepare(WRITE)?,
            waiting: connection.prepare(WAITING)?,
            give_running: connection.prepare(GIVE_RUNNING)?,
            give_call: connection.prepare(GIVE_CALL)?,
            write_permits: connection.prepare(WRITE_PERMITS)?,
            end_lease: connection.prepare(END_LEASE)?,
            let_through: connection.prepare(LET_THROUGH)?,
            handed_over: 0,
        })
    }

    /// How many steps of SQLite's machine its statements took so far.
    #[cfg(test)]
    pub(crate) fn steps(&self) -> i32 {
        let Self {
            read, write, waiting, give_running, give_call, write_permits, end_lease, let_through, ..
        } = self;
        let statements =
            [read, write, waiting, give_running, give_call, write_permits, end_lease, let_through];
        statements.map(|statement| statement.get_status(rusqlite::StatementStatus::VmStep)).iter().sum()
    }

    /// Takes all that a run wants, which says under which new keys it counts; or nothing, and says what it waits for.
    pub(crate) fn admit(
        &mut self,
        wants: &Wants,
        now: Timestamp,
    ) -> Result<Result<Vec<Text>, Blocked>, Fault> {
        let mut full = None;
        for want in &wants.caps {
            let gate = self.gate(&want.key)?;
            if gate.most != want.most {
                self.put(&want.key, Gate { most: want.most, ..gate }, None)?;
            }
            if gate.taken >= want.most && !want.has && full.is_none() {
                full = Some(Blocked { by: want.key.clone(), until: None });
            }
        }
        if let Some(full) = full {
            return Ok(Err(full));
        }
        if let Some(rated) = &wants.rate {
            let gate = self.gate(&rated.key)?;
            if let Some(expected) = gate.expected.filter(|_| rated.rate.room(gate.expected, now) == 0) {
                let until = Some(rated.rate.opens_at(expected));
                return Ok(Err(Blocked { by: rated.key.clone(), until }));
            }
            let expected = Some(rated.rate.after(gate.expected, now));
            self.put(&rated.key, Gate { expected, ..gate }, Some(rated.rate))?;
        }
        let mut taken = Vec::new();
        for want in wants.caps.iter().filter(|want| !want.has) {
            let gate = self.gate(&want.key)?;
            self.put(&want.key, Gate { taken: gate.taken.saturating_add(1), ..gate }, None)?;
            taken.push(want.key.clone());
        }
        Ok(Ok(taken))
    }

    /// Writes what has become of a run's permits, and hands on what it gave back of those that it `counted` under.
    pub(crate) fn settle(
        &mut self,
        place: i64,
        stored: &Permits,
        counted: &Permits,
        after: &Permits,
    ) -> Result<(), Fault> {
        if stored != after {
            let Permits { running, calls, blocked } = after;
            let blocked = blocked.as_ref().map(|blocked| &*blocked.by);
            self.write_permits.execute(params![place, running.as_deref(), calls.as_deref(), blocked])?;
        }
        for key in counted.held().filter(|key| !after.held().any(|kept| kept == *key)) {
            let gate = self.gate(key)?;
            self.put(key, Gate { taken: gate.taken.saturating_sub(1), ..gate }, None)?;
            self.hand_over(key)?;
        }
        Ok(())
    }

    /// Writes that the run, which is due, waits for a limit.
    pub(crate) fn park(
        &mut self,
        place: i64,
        mut run: Run,
        blocked: Blocked,
        wants: &Wants,
    ) -> Result<(), Fault> {
        let (before, was_held) = (run.permits.clone(), run.lease.is_some());
        run.park(blocked);
        if was_held {
            self.end_lease.execute(params![place, run.epoch.0.cast_signed(), run.state.crashes])?;
        }
        self.settle(place, &before, &before, &run.permits)?;
        self.widen(wants)
    }

    /// After a claim, which may have said that there is more room than there was.
    pub(crate) fn widen(&mut self, wants: &Wants) -> Result<(), Fault> {
        wants.caps.iter().try_for_each(|want| self.hand_over(&want.key))
    }

    /// Gives what is free of a limit to those that wait for it.
    fn hand_over(&mut self, key: &Text) -> Result<(), Fault> {
        let give = match LimitKind::of(key) {
            LimitKind::Running => &mut self.give_running,
            LimitKind::Calls => &mut self.give_call,
            LimitKind::Rate => return Ok(()),
        };
        let mut gate = gate(&mut self.read, key)?;
        let before = gate.taken;
        while gate.has_room() {
            let first = self.waiting.query_row([&**key], |row| row.get::<_, i64>(0)).optional()?;
            let Some(place) = first else { break };
            give.execute(params![place, &**key])?;
            gate.taken += 1;
        }
        if gate.taken != before {
            self.handed_over += u64::from(gate.taken - before);
            self.put(key, gate, None)?;
        }
        Ok(())
    }

    /// Those that wait for a rate come back into the queue, as many of them as it lets through now.
    pub(crate) fn let_through(
        &mut self,
        definitions: &mut Definitions<'_>,
        request: &ClaimRequest,
    ) -> Result<(), Fault> {
        let now = request.due_by.min(request.now);
        for (definition, key, rate) in rates(definitions, request)? {
            let room = rate.room(self.gate(&key)?.expected, now);
            if room > 0 {
                self.let_through.execute(params![&*key, definition, room])?;
            }
        }
        Ok(())
    }

    fn gate(&mut self, key: &Text) -> Result<Gate, Fault> {
        gate(&mut self.read, key)
    }

    fn put(&mut self, key: &Text, gate: Gate, rate: Option<Rate>) -> Result<(), Fault> {
        let opens_at = rate.and_then(|rate| Some(rate.opens_at(gate.expected?)));
        self.write.execute(params![
            &**key,
            gate.taken,
            gate.most,
            gate.expected.map(Timestamp::as_micros),
            opens_at.map(Timestamp::as_micros),
        ])?;
        Ok(())
    }
}

/// When those that wait for a rate may go on.
pub(crate) struct Paces<'c> {
    read: Statement<'c>,
    paced: Statement<'c>,
}

impl<'c> Paces<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self { read: connection.prepare(READ)?, paced: connection.prepare(PACED)? })
    }

    /// The earliest time at which a rate lets one through that waits for it.
    pub(crate) fn earliest(
        &mut self,
        definitions: &mut Definitions<'_>,
        request: &ClaimRequest,
    ) -> Result<Option<Timestamp>, Fault> {
        let mut earliest: Option<Timestamp> = None;
        for (definition, key, rate) in rates(definitions, request)? {
            if !self.paced.exists(params![&*key, definition])? {
                continue;
            }
            let opens_at = gate(&mut self.read, &key)?.expected.map(|expected| rate.opens_at(expected));
            earliest = earliest.into_iter().chain(opens_at).min();
        }
        Ok(earliest)
    }
}

/// The rates of the definitions that a worker knows, as far as runs of these were ever stored.
fn rates(definitions: &mut Definitions<'_>, request: &ClaimRequest) -> Result<Vec<(i64, Text, Rate)>, Fault> {
    let mut found = Vec::new();
    if request.limits.is_empty() {
        return Ok(found);
    }
    for definition in request.definitions.iter() {
        let Some(Limits { rates, .. }) = request.limits.get(&definition.pipeline) else { continue };
        if rates.is_empty() {
            continue;
        }
        let Some(interned) = definitions.find(definition)? else { continue };
        found.extend(rates.iter().map(|(key, rate)| (interned.definition, key.clone(), *rate)));
    }
    Ok(found)
}

fn gate(read: &mut Statement<'_>, key: &Text) -> Result<Gate, Fault> {
    let found = read.query_row([&**key], |row: &Row<'_>| {
        let expected = row.get::<_, Option<i64>>(2)?.map(Timestamp::from_micros);
        Ok(Gate { taken: row.get(0)?, most: row.get(1)?, expected })
    });
    Ok(found.optional()?.unwrap_or(Gate::NEW))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::plan;

    #[test]
    fn who_waits_is_found_in_the_index_and_needs_no_sorting() {
        for sql in [WAITING, PACED, LET_THROUGH] {
            let plan = plan(sql);
            assert!(
                plan.contains("USING INDEX runs_blocked (blocked=?)")
                    || plan.contains("COVERING INDEX runs_blocked (blocked=?)"),
                "{sql}: {plan}"
            );
            assert!(!plan.contains("B-TREE FOR ORDER"), "{sql}: {plan}");
        }
    }
}
