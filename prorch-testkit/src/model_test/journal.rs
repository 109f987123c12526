//! What was seen of each run, at the store and in its steps; and what of that must never be.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use prorch_core::model::{CauseKind, Mail, Position, RecordWrite, Status, StepRecord, Text};
use prorch_core::repository::{Answer, Claim, Guard, Hold, NewRun, RunId, Saved, Timestamp, Update};

use super::life::{Life, MailSeen, RecordSeen, is_called};
use super::shapes::Shape;
use super::step::Done;

/// Everything that was seen. What was wrong is told by the names of the promises.
#[derive(Debug, Default)]
pub(super) struct Journal {
    pub(super) wrong: Vec<String>,
    /// The runs that were written to since somebody looked.
    pub(super) touched: BTreeSet<RunId>,
    pub(super) lives: BTreeMap<RunId, Life>,
    pub(super) calls: Vec<CallSeen>,
    /// The run that each generation of each record started.
    pub(super) children: BTreeMap<(RunId, Position, u32), RunId>,
    /// The runs that were started by others since somebody looked.
    pub(super) born: Vec<NewRun>,
    /// The time, by a right clock.
    pub(super) now: Timestamp,
    /// How many things were seen: an order of them all.
    clock: u64,
}

/// A call that was begun.
#[derive(Debug)]
pub(super) struct CallSeen {
    pub(super) run: RunId,
    /// See [`Life::called`].
    pub(super) label: String,
    pub(super) committed: bool,
}

/// So much the clocks of two workers may differ.
const SKEW: Duration = Duration::from_secs(20);
/// So many calls in a row that are cut off fail a run.
pub(super) const CRASH_CAP: u32 = 4;

impl Journal {
    pub(super) fn is_wrong(&mut self, what: String) {
        self.wrong.push(what);
    }

    /// Which of all the things seen this one is.
    pub(super) const fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    pub(super) fn started(&mut self, new: &NewRun, saved: Saved) {
        self.touched.insert(new.id);
        match (saved, self.known(new)) {
            (Saved::New, None) => self.begins(new),
            (Saved::Known(saved), Some(known)) if saved == known => {}
            _ => self.is_wrong(format!("P10: a start of {} with key {:?}: {saved:?}", new.id, new.key)),
        }
    }

    /// The run that is there already when this one is started.
    pub(super) fn known(&self, new: &NewRun) -> Option<RunId> {
        let key = key(new);
        let holds = |life: &Life| key.is_some() && life.key == key;
        self.lives.iter().find(|(id, life)| **id == new.id || holds(life)).map(|(id, _)| *id)
    }

    pub(super) fn begins(&mut self, new: &NewRun) {
        let is_line = Shape::named(&new.definition.pipeline).is_some_and(Shape::is_line);
        self.lives.insert(new.id, Life::of(key(new), is_line));
    }

    pub(super) fn claimed(&mut self, claim: &Claim) {
        let at = self.tick();
        let run = &claim.stored.run;
        self.touched.insert(run.id);
        let Some(life) = self.lives.get_mut(&run.id) else { return };
        let is_open = !life.status.is_terminal();
        let is_held = life.lease.is_some_and(|lease| self.now + SKEW < lease.until);
        life.was_cut_off();
        life.epoch += 1;
        life.status = Status::Pending;
        life.lease = run.lease;
        life.written_at = at;
        let is_next = run.epoch.0 == life.epoch;
        if !is_open {
            self.is_wrong(format!("P9: run {} is claimed, which has ended", run.id));
        }
        if is_held {
            self.is_wrong(format!("P3: run {} is claimed, and another worker holds it", run.id));
        }
        if !is_next {
            self.is_wrong(format!("P3: run {} is claimed, and not at the next epoch", run.id));
        }
    }

    pub(super) fn saw(&mut self, update: &Update, answer: &Answer) {
        let at = self.tick();
        let Some(mut life) = self.lives.remove(&update.run) else {
            return self.is_wrong(format!("an update of an unknown run is answered: {answer:?}"));
        };
        self.touched.insert(update.run);
        match answer {
            Answer::Applied { .. } if update.guard == Guard::Post => life.receive_own(update, at),
            Answer::Applied { .. } => self.applied(&mut life, update, at),
            Answer::Stale | Answer::Closed if !life.allows(update) => {}
            refused => self.is_wrong(format!("run {} refuses {update:?}: {refused:?}", update.run)),
        }
        self.lives.insert(update.run, life);
        if matches!(answer, Answer::Applied { .. }) {
            self.reaches(update, at);
        }
    }

    fn applied(&mut self, life: &mut Life, update: &Update, at: u64) {
        let run = update.run;
        if !life.allows(update) {
            self.is_wrong(format!("P3: run {run} is changed by who may not, at {life:?}: {update:?}"));
        }
        let reopens = life.may_reopen && life.status == Status::Failed;
        if life.status.is_terminal() && !reopens {
            self.is_wrong(format!("P9: run {run} has ended and is changed: {update:?}"));
        }
        if let Guard::Idle(_) | Guard::Again(..) = update.guard {
            life.epoch += 1;
        }
        if let Guard::Idle(_) = update.guard {
            life.was_cut_off();
        }
        let mut heard = Vec::new();
        let is_there = |record: &StepRecord| {
            life.records.get(&record.position).is_some_and(|seen| seen.written == *record)
        };
        let mut records = update.records.iter().map(RecordWrite::record);
        if matches!(update.guard, Guard::Again(..)) && records.all(is_there) {
            // It was applied the first time too, and says the same again; or it had nothing but messages to tell of.
            let is_taken = |mail: &&mut MailSeen| update.taken.contains(&mail.id);
            life.inbox.iter_mut().filter(is_taken).for_each(|mail| mail.taken = true);
            life.receive_own(update, at);
            return self.settle(life, update, reopens);
        }
        for write in &update.records {
            self.record(life, run, write.record(), reopens, &mut heard);
        }
        self.taken(life, update, &heard);
        life.receive_own(update, at);
        self.settle(life, update, reopens);
        if !matches!(update.hold, Hold::Claim(_)) {
            // A lease may be renewed while a call that was decided on begins.
            life.written_at = at;
        }
    }

    fn settle(&mut self, life: &mut Life, update: &Update, reopens: bool) {
        if let Some(state) = &update.state {
            let knows_all =
                !matches!(update.hold, Hold::Release { seen, .. } if (life.inbox.len() as u64) > seen);
            if state.status.is_terminal() && !life.status.is_terminal() {
                life.ends.push(state.status);
            }
            (life.status, life.paused) = (state.status, state.paused && knows_all);
            let by_cap = state.cause.as_ref().is_some_and(|cause| is_by_cap(cause.kind));
            let crashes = if life.is_line { life.cut_offs } else { life.all_cut_offs };
            if by_cap && crashes < CRASH_CAP {
                self.is_wrong(format!("P5: run {} is failed after {crashes} crashes", update.run));
            }
        }
        if reopens {
            (life.attempts, life.cut_offs, life.may_reopen) = (0, 0, false);
            life.was_reopened = true;
        }
        match update.hold {
            Hold::Claim(lease) => life.lease = Some(lease),
            Hold::Release { .. } => life.lease = None,
            Hold::Keep => {}
        }
        if life.status.is_terminal() {
            life.lease = None;
        }
    }

    /// A record is written. Adds what it heard to `heard`.
    fn record(
        &mut self,
        life: &mut Life,
        run: RunId,
        record: &StepRecord,
        reopens: bool,
        heard: &mut Vec<u64>,
    ) {
        let done: Done = match &record.state {
            Some(state) => serde_json::from_str(state).expect("what a step wrote can be read"),
            None => Done::default(),
        };
        let old = life.records.remove(&record.position);
        let may_change = |old: Status| !old.is_terminal() || reopens && old != Status::Finished;
        if old.as_ref().is_some_and(|old| !may_change(old.status)) {
            self.is_wrong(format!("P2: {} of run {run} has ended and is written again", record.name));
        }
        let had_errors = old.as_ref().map_or(0, |old| old.written.errors);
        let goes_on =
            old.as_ref().filter(|old| record.intent.is_some() && old.written.intent == record.intent);
        let (called_once, says_again) =
            goes_on.map_or((false, false), |old| (old.called_once, old.says_again));
        let is_free = record.status == Status::Created && record.intent.is_none();
        if old.as_ref().is_some_and(|old| is_free && old.called_once && !old.says_again) {
            self.is_wrong(format!(
                "P5: {} of run {run} may be called again, and nobody said so",
                record.name
            ));
        }
        let before = if reopens { done.clone() } else { old.map(|old| old.done).unwrap_or_default() };
        if done.calls == before.calls && done.heard == before.heard {
            if record.errors > had_errors && record.is_open() {
                (life.attempts, life.cut_offs) = (life.attempts + 1, 0);
            }
        } else if let Some(why) = self.answer(run, record, &before, &done, heard) {
            self.is_wrong(format!("{why}: {} of run {run} had {before:?} and has {done:?}", record.name));
        } else {
            (life.attempts, life.cut_offs) = (0, 0);
        }
        let written = record.clone();
        let (name, status) = (record.name.clone(), record.status);
        let seen = RecordSeen { name, status, done, written, called_once, says_again };
        life.records.insert(record.position, seen);
    }

    /// An answer is committed: one more call, which no answer was committed of, and at most one signal. Else says why not.
    fn answer(
        &mut self,
        run: RunId,
        record: &StepRecord,
        before: &Done,
        done: &Done,
        heard: &mut Vec<u64>,
    ) -> Option<&'static str> {
        let (Some((call, calls)), Some(new)) =
            (done.calls.split_last(), done.heard.strip_prefix(&*before.heard))
        else {
            return Some("P3: what was committed is lost");
        };
        let seen = self.calls.get_mut(*call as usize)?;
        let is_its = seen.run == run && is_called(&seen.label, &record.name, record.position);
        let fits = is_its && calls == before.calls && new.len() <= 1;
        if !fits || seen.committed {
            return Some("P3: what was committed is lost, or is committed twice");
        }
        seen.committed = true;
        heard.extend(new.iter().flatten());
        None
    }

    /// What an update takes are the signals that were heard, the oldest of each name, and no other.
    fn taken(&mut self, life: &mut Life, update: &Update, heard: &[u64]) {
        let mut signals = Vec::new();
        for id in &update.taken {
            let Some(at) = life.inbox.iter().position(|mail| mail.id == *id && !mail.taken) else {
                self.is_wrong(format!("P8: a message of run {} is taken twice: {update:?}", update.run));
                continue;
            };
            if let Mail::Signal { name, payload } = &life.inbox[at].mail {
                if life.signals(name).next().is_some_and(|first| first.id != *id) {
                    self.is_wrong(format!("P8: run {} takes a signal before an older one", update.run));
                }
                signals.extend(payload.parse::<u64>());
            }
            life.inbox[at].taken = true;
        }
        // Members of a stage that came back together may have heard each another name.
        let mut heard = heard.to_vec();
        heard.sort_unstable();
        signals.sort_unstable();
        if signals != heard {
            self.is_wrong(format!("P8: run {} heard {heard:?}, and {signals:?} are taken", update.run));
        }
    }
}

/// Whether a run ended like this because it was cut off too often; in a first call that is made at most once that leaves it in
/// doubt, and nothing else does here.
pub(super) const fn is_by_cap(kind: CauseKind) -> bool {
    matches!(kind, CauseKind::Crash | CauseKind::InDoubt)
}

/// What no other run may have.
fn key(new: &NewRun) -> Option<(Text, Text)> {
    new.key.clone().map(|key| (new.definition.pipeline.clone(), key))
}
