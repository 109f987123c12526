//! Updates: what `Update::apply` in core says, in SQL.

use prorch_core::repository::{
    Answer, Guard, Hold, Locator, RecordWrite, Removal, RunState, StoredRun, Timestamp, Update, Wants,
};
use rusqlite::{Connection, Statement, params};

use crate::codes::{cause_code, metadata_text, status_code, undo_text};
use crate::definitions::Definitions;
use crate::error::Fault;
use crate::gates::Gates;
use crate::history::Histories;
use crate::hot::{Hot, HotRows};
use crate::inbox::Inboxes;
use crate::insert::Inserts;
use crate::read::Reads;
use crate::removal::Removals;

const WRITE_STATE: &str =
    "UPDATE runs SET epoch = ?2, holder = ?3, lease_length = ?4, due_at = ?5, inbox_seq = ?6,
    status = ?7, paused = ?8, crashes = ?9, started_at = ?10, ended_at = ?11, stuck = ?12, cause_kind = ?13,
    cause_step = ?14, cause = ?15, metadata = ?16, output = ?17, fan_stage = ?18, fan_width = ?19, fan_entered = ?20,
    fan_finished = ?21, fan_low = ?22, starts = ?23, undo = NULL
    WHERE run = ?1";
/// What few runs have; after the other columns.
const WRITE_UNDO: &str = "UPDATE runs SET undo = ?2 WHERE run = ?1";
/// To one of its own pipeline.
const WRITE_DEFINITION: &str = "UPDATE runs SET definition = ?2 WHERE run = ?1 AND pipeline = ?3";

/// Everything that an update may write.
pub(crate) struct Updates<'c> {
    hot: HotRows<'c>,
    inboxes: Inboxes<'c>,
    reads: Reads<'c>,
    pub(crate) inserts: Inserts<'c>,
    removals: Removals<'c>,
    histories: Histories<'c>,
    write_state: Statement<'c>,
    write_undo: Statement<'c>,
    write_definition: Statement<'c>,
}

impl<'c> Updates<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            hot: HotRows::prepare(connection)?,
            inboxes: Inboxes::prepare(connection)?,
            reads: Reads::prepare(connection)?,
            inserts: Inserts::prepare(connection)?,
            removals: Removals::prepare(connection)?,
            histories: Histories::prepare(connection)?,
            write_state: connection.prepare(WRITE_STATE)?,
            write_undo: connection.prepare(WRITE_UNDO)?,
            write_definition: connection.prepare(WRITE_DEFINITION)?,
        })
    }

    /// Applies the update, whole or not at all; after an error the caller rolls back.
    pub(crate) fn apply(
        &mut self,
        definitions: &mut Definitions<'_>,
        gates: &mut Gates<'_>,
        update: &Update,
    ) -> Result<Answer, Fault> {
        let Some(found) = self.hot.find(update.locator, update.run)? else { return Ok(Answer::Closed) };
        if let Some(refusal) = refusal(&found, update) {
            return Ok(refusal);
        }
        if let Some(removal) = update.removal {
            return self.remove(&found, removal);
        }
        let (mut hot, mut counted, mut wants) = (found.clone(), found.permits.clone(), Wants::default());
        if update.guard != Guard::Post {
            if !self.write_definition(definitions, hot.place, update)? {
                return Ok(Answer::Rejected(Update::OTHER_PIPELINE.into()));
            }
            if update.is_claim() {
                let Some(admitted) = self.admit(definitions, gates, &mut hot, update)? else {
                    return Ok(Answer::Full);
                };
                wants = admitted;
            }
            counted.clone_from(&hot.permits);
            self.write_parts(&mut hot, update)?;
        }
        for post in update.posts.iter().filter(|post| post.to == update.run) {
            self.inboxes.receive(&mut hot, &post.message)?;
        }
        settle(&mut hot, update);
        match &update.state {
            Some(state) if update.guard != Guard::Post => self.write_state(&hot, state)?,
            _ if hot != found => self.hot.write(&hot)?,
            _ => {}
        }
        gates.settle(hot.place, &found.permits, &counted, &hot.permits)?;
        gates.widen(&wants)?;
        for new in update.starts.iter().filter(|_| update.guard != Guard::Post) {
            self.inserts.insert(definitions, new)?;
        }
        self.send(gates, update)?;
        Ok(Answer::Applied { inbox_seq: hot.inbox_seq })
    }

    fn remove(&mut self, found: &Hot, removal: Removal) -> Result<Answer, Fault> {
        let answer = self.removals.remove(found, removal)?;
        if answer == Answer::Removed {
            self.histories.remove(found.place)?;
        }
        Ok(answer)
    }

    /// What the limits let a claim have, of which `hot` then says what is taken; none when the run waits.
    fn admit(
        &mut self,
        definitions: &mut Definitions<'_>,
        gates: &mut Gates<'_>,
        hot: &mut Hot,
        update: &Update,
    ) -> Result<Option<Wants>, Fault> {
        if update.limits.is_none() && hot.permits.is_empty() {
            return Ok(Some(Wants::default()));
        }
        let Some((locator, run)) = self.reads.at(definitions, hot.place)? else {
            return Ok(Some(Wants::default()));
        };
        let stored = self.reads.work(StoredRun::bare(run, locator))?;
        let wants = update.limits.as_deref().cloned().unwrap_or_default().wants(&stored);
        match gates.admit(&wants, update.at)? {
            Ok(taken) => taken.into_iter().for_each(|key| hot.permits.take(key)),
            Err(blocked) => {
                gates.park(hot.place, stored.run, blocked, &wants)?;
                return Ok(None);
            }
        }
        Ok(Some(wants))
    }

    /// Writes what hangs on the run, and says in `hot` what becomes of its row.
    fn write_parts(&mut self, hot: &mut Hot, update: &Update) -> Result<(), Fault> {
        if let Guard::Idle(epoch) | Guard::Again(epoch, _) = update.guard {
            hot.epoch = epoch.next();
        }
        if let Some(state) = &update.state {
            (hot.status, hot.paused) = (state.status, state.paused);
        }
        for position in &update.removed {
            self.inserts.records.remove(hot.place, *position)?;
        }
        for record in update.records.iter().map(RecordWrite::record) {
            self.inserts.records.write(hot.place, record)?;
        }
        if let Some(append) = &update.history {
            self.histories.append(hot.place, append)?;
        }
        self.inboxes.take(hot.place, &update.taken)
    }

    /// Says whether the run may be stored under what the update says: nothing is written if not.
    fn write_definition(
        &mut self,
        definitions: &mut Definitions<'_>,
        place: i64,
        update: &Update,
    ) -> Result<bool, Fault> {
        let Some(definition) = &update.definition else { return Ok(true) };
        let interned = definitions.intern(definition)?;
        let written = self.write_definition.execute([place, interned.definition, interned.pipeline])?;
        Ok(written > 0)
    }

    fn write_state(&mut self, hot: &Hot, state: &RunState) -> Result<(), Fault> {
        let (holder, length) = hot.lease_parts();
        let cause = state.cause.as_ref();
        self.write_state.execute(params![
            hot.place,
            hot.epoch.0.cast_signed(),
            holder,
            length,
            hot.due_at.map(Timestamp::as_micros),
            hot.inbox_seq.cast_signed(),
            status_code(state.status),
            hot.paused,
            state.crashes,
            state.started_at.map(Timestamp::as_micros),
            state.ended_at.map(Timestamp::as_micros),
            state.stuck.as_deref(),
            cause.map(|cause| cause_code(cause.kind)).transpose()?,
            cause.and_then(|cause| cause.step.as_deref()),
            cause.map(|cause| &*cause.text),
            metadata_text(&state.metadata)?,
            state.output.as_deref(),
            state.fan.map(|fan| fan.stage),
            state.fan.and_then(|fan| fan.width),
            state.fan.map(|fan| fan.entered),
            state.fan.map(|fan| fan.finished),
            state.fan.map(|fan| fan.low),
            state.starts.as_deref(),
        ])?;
        if let Some(undo) = &state.undo {
            self.write_undo.execute(params![hot.place, undo_text(undo)?])?;
        }
        Ok(())
    }

    /// Delivers what the update posts to other runs; one that ended or is not there gets nothing.
    fn send(&mut self, gates: &mut Gates<'_>, update: &Update) -> Result<(), Fault> {
        for post in update.posts.iter().filter(|post| post.to != update.run) {
            let Some(found) = self.hot.find(Locator::default(), post.to)? else { continue };
            let mut hot = found.clone();
            self.inboxes.receive(&mut hot, &post.message)?;
            if hot != found {
                self.hot.write(&hot)?;
                gates.settle(hot.place, &found.permits, &found.permits, &hot.permits)?;
            }
        }
        Ok(())
    }
}

/// What the guard answers when it does not hold.
fn refusal(hot: &Hot, update: &Update) -> Option<Answer> {
    let (holds, refusal) = match update.guard {
        Guard::Held(epoch, holder) | Guard::Again(epoch, holder) => {
            (hot.epoch == epoch && hot.lease.is_some_and(|lease| lease.holder == holder), Answer::Stale)
        }
        Guard::Idle(epoch) => {
            (hot.epoch == epoch && !hot.lease.is_some_and(|lease| lease.is_live(update.at)), Answer::Stale)
        }
        Guard::Post => (!hot.status.is_terminal(), Answer::Closed),
    };
    if !holds {
        return Some(refusal);
    }
    (hot.sealed && update.removal.is_none()).then_some(Answer::Closed)
}

/// What becomes of the claim. All of it is read from the row under the write lock, so no wake-up is lost.
fn settle(hot: &mut Hot, update: &Update) {
    if update.guard == Guard::Post {
        return;
    }
    match update.hold {
        Hold::Keep => {}
        Hold::Claim(lease) => {
            hot.lease = Some(lease);
            hot.due_at = Some(lease.until);
        }
        Hold::Release { due_at, seen } => {
            hot.lease = None;
            let has_seen_all = hot.inbox_seq <= seen;
            hot.due_at = if has_seen_all { due_at } else { Some(update.at) };
            // A paused run is not claimed: what was not seen, a cancel say, would wait there for good.
            hot.paused &= has_seen_all || update.state.is_none();
        }
    }
    if hot.status.is_terminal() {
        hot.lease = None;
        hot.due_at = None;
        hot.permits.running = None;
    }
    if hot.lease.is_none() {
        hot.permits.calls = None;
    }
    hot.permits.blocked = None;
}
