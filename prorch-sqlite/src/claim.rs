//! Claims: the runs that are due, each with what a decision needs.

use std::time::Duration;

use prorch_core::model::{MAX_REASON, bounded};
use prorch_core::repository::{
    Answer, Claim, ClaimRequest, Lease, MAX_BATCH_ROWS, Run, StoredRun, Timestamp, Wants,
};
use rusqlite::{Connection, Statement, params};

use crate::codes::{micros, status_code};
use crate::definitions::Definitions;
use crate::due::{Candidate, Due};
use crate::error::Fault;
use crate::gates::Gates;
use crate::read::Reads;

const TAKE: &str =
    "UPDATE runs SET status = ?2, epoch = ?3, holder = ?4, lease_length = ?5, due_at = ?6, crashes = ?7,
    started_at = ?8, stuck = NULL WHERE run = ?1";
const PUT_OFF: &str =
    "UPDATE runs SET holder = NULL, lease_length = NULL, due_at = ?2, stuck = ?3 WHERE run = ?1";

/// How long a row that can't be read is left alone.
const LEAVE_FOR: Duration = Duration::from_secs(60);

/// What became of a run that was to be claimed.
enum Taken {
    Claimed(Box<Claim>),
    /// It met a full limit.
    Waits,
    /// It can't be claimed after all.
    Gone,
}

pub(crate) struct Claims<'c> {
    connection: &'c Connection,
    due: Due<'c>,
    reads: Reads<'c>,
    take: Statement<'c>,
}

impl<'c> Claims<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            connection,
            due: Due::prepare(connection)?,
            reads: Reads::prepare(connection)?,
            take: connection.prepare(TAKE)?,
        })
    }

    /// Claims what is due. A row that can't be read is put off, one that met a full limit waits, and the next in line gets its
    /// place. One that has found something passes no more of those than one transaction should write.
    pub(crate) fn claim(
        &mut self,
        definitions: &mut Definitions<'_>,
        gates: &mut Gates<'_>,
        request: &ClaimRequest,
    ) -> Result<Vec<Claim>, Fault> {
        let mut claims = Vec::new();
        let mut rest = request.clone();
        let mut passed = 0;
        gates.let_through(definitions, request)?;
        loop {
            let mut candidates = self.due.candidates(definitions, &rest)?;
            if !request.limits.is_empty() {
                // Where a limit has less room than there are, the most urgent get it.
                candidates.sort_unstable();
            }
            let put_off = self.take_all(definitions, gates, &rest, &candidates, &mut claims)?;
            passed += put_off;
            rest.limit = request.limit.saturating_sub(claims.len());
            rest.by_age = request.by_age.min(rest.limit);
            rest.suspect = request.suspect && !claims.iter().any(Claim::is_suspect);
            let has_done_enough = passed >= MAX_BATCH_ROWS && !claims.is_empty();
            if put_off == 0 || rest.limit == 0 || has_done_enough {
                return Ok(claims);
            }
        }
    }

    /// Takes the candidates and says how many of them could not be read, or met a full limit.
    fn take_all(
        &mut self,
        definitions: &mut Definitions<'_>,
        gates: &mut Gates<'_>,
        request: &ClaimRequest,
        candidates: &[Candidate],
        claims: &mut Vec<Claim>,
    ) -> Result<usize, Fault> {
        let mut put_off = 0;
        for candidate in candidates {
            match self.take(definitions, gates, request, candidate.place) {
                Ok(Taken::Claimed(claim)) => claims.push(*claim),
                Ok(Taken::Waits) => put_off += 1,
                Ok(Taken::Gone) => {}
                Err(fault @ Fault::Unreadable { .. }) => {
                    self.put_off(candidate.place, &fault, request.now)?;
                    put_off += 1;
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(put_off)
    }

    /// Reads the run whole and only then takes it: one that can't be read is never held.
    fn take(
        &mut self,
        definitions: &mut Definitions<'_>,
        gates: &mut Gates<'_>,
        request: &ClaimRequest,
        place: i64,
    ) -> Result<Taken, Fault> {
        let Some((locator, run)) = self.reads.at(definitions, place)? else { return Ok(Taken::Gone) };
        if run.lease.is_some_and(|lease| lease.is_live(request.now)) {
            return Ok(Taken::Gone);
        }
        let bare = StoredRun::bare(run, locator);
        let mut stored = self.reads.work(bare)?;
        let limits = request.limits.get(&stored.run.definition.pipeline);
        let is_limited = limits.is_some() || !stored.run.permits.is_empty();
        let wants =
            if is_limited { limits.cloned().unwrap_or_default().wants(&stored) } else { Wants::default() };
        let taken = match gates.admit(&wants, request.now)? {
            Ok(taken) => taken,
            Err(blocked) => {
                gates.park(place, stored.run, blocked, &wants)?;
                return Ok(Taken::Waits);
            }
        };
        let lease = Lease::new(request.holder, request.now, request.lease);
        let before = stored.run.permits.clone();
        if !matches!(stored.run.claim(lease, request.now).apply(&mut stored), Answer::Applied { .. }) {
            return Ok(Taken::Gone);
        }
        taken.into_iter().for_each(|key| stored.run.permits.take(key));
        self.write(place, &stored.run, lease)?;
        gates.settle(place, &before, &stored.run.permits, &stored.run.permits)?;
        gates.widen(&wants)?;
        Ok(Taken::Claimed(Box::new(Claim { stored })))
    }

    fn write(&mut self, place: i64, run: &Run, lease: Lease) -> Result<(), Fault> {
        self.take.execute(params![
            place,
            status_code(run.state.status),
            run.epoch.0.cast_signed(),
            lease.holder.as_bytes(),
            micros(lease.length),
            lease.until.as_micros(),
            run.state.crashes,
            run.state.started_at.map(Timestamp::as_micros),
        ])?;
        Ok(())
    }

    /// Leaves a row that can't be read for a while, with a note that says why. Whatever made it so may also have broken
    /// a rule of the table: that must not keep it at the front of the queue.
    fn put_off(&mut self, place: i64, fault: &Fault, now: Timestamp) -> Result<(), Fault> {
        self.reads.name(place, fault);
        self.connection.execute_batch("PRAGMA ignore_check_constraints = ON")?;
        let due_at = (now + LEAVE_FOR).as_micros();
        let stuck = bounded(&fault.to_string(), MAX_REASON);
        let written = self.connection.execute(PUT_OFF, params![place, due_at, &*stuck]);
        self.connection.execute_batch("PRAGMA ignore_check_constraints = OFF")?;
        written?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use prorch_core::repository::{Cap, Definition, Leases, Limits, Rate, Rated, Text, WorkerId};

    use super::*;

    /// One run of each tenant runs at a time.
    fn request(limit: usize, now: i64) -> ClaimRequest {
        let Rated { key, rate } = Rated::of("send", Rate::new(1, Duration::from_secs(1_000)));
        let running = Some(Cap { most: 1, per: Some(Text::from("tenant")) });
        let limits = Limits { running, rates: [(key, rate)].into(), ..Limits::default() };
        let now = Timestamp::from_micros(now);
        ClaimRequest {
            definitions: [Definition::new("known", 1)].into(),
            limit,
            by_age: 0,
            suspect: false,
            holder: WorkerId::from_bytes([1; 16]),
            lease: Duration::from_secs(3_600),
            now,
            due_by: now,
            leases: Leases::ByTime,
            limits: Arc::new(BTreeMap::from([(Text::from("known"), limits)])),
        }
    }

    /// What it costs to claim a run that is not limited, in steps of SQLite's machine, while so many wait for a full limit,
    /// and one for a rate.
    fn cost(waiting: u32) -> i32 {
        let connection = crate::open::in_memory().unwrap();
        connection
            .execute_batch(
                "INSERT INTO pipelines VALUES (1, 'known'); INSERT INTO definitions VALUES (1, 1, 1, '');",
            )
            .unwrap();
        let add = |runs: u32, tenant: &str, starts: Option<&str>| {
            let insert = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1)
                INSERT INTO runs (id, definition, pipeline, status, priority, due_at, created_at, input, metadata, starts)
                SELECT randomblob(16), 1, 1, 0, 5, n, 0, 'null', ?2, ?3 FROM numbers";
            connection.execute(insert, params![runs, tenant, starts]).unwrap();
        };
        let mut definitions = Definitions::prepare(&connection).unwrap();
        let mut gates = Gates::prepare(&connection).unwrap();
        let mut claims = Claims::prepare(&connection).unwrap();
        add(waiting, r#"{"tenant":"a"}"#, None);
        let mut found = 0;
        for _ in 0..100 {
            found += claims.claim(&mut definitions, &mut gates, &request(100, 1_000_000)).unwrap().len();
        }
        assert_eq!(found, 1);
        add(1, r#"{"tenant":"b"}"#, Some("rate of send"));
        add(1, r#"{"tenant":"c"}"#, Some("rate of send"));
        assert_eq!(claims.claim(&mut definitions, &mut gates, &request(9, 1_000_000)).unwrap().len(), 1);
        add(1, r#"{"tenant":"d"}"#, None);
        let before = gates.steps() + claims.due.steps();
        assert_eq!(claims.claim(&mut definitions, &mut gates, &request(1, 1_000_000)).unwrap().len(), 1);
        gates.steps() + claims.due.steps() - before
    }

    #[test]
    fn those_that_wait_for_a_full_limit_cost_a_claim_nothing() {
        assert_eq!(cost(10_000), cost(2));
    }
}
