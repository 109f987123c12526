use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    Definition, Epoch, Fan, Guard, HistoryEntry, Hold, Limits, Locator, Message, MessageId, Metadata, Part,
    Permits, Position, RecordWrite, RunId, Status, StepRecord, Text, Timestamp, Undo, Update, WorkerId,
};

/// A run that is about to be stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewRun {
    /// Its id, made by whoever starts it, so that asking again is safe.
    pub id: RunId,
    /// What it executes.
    pub definition: Definition,
    /// What the first step gets, as JSON.
    pub input: Text,
    /// At most one run of a pipeline has this key.
    pub key: Option<Text>,
    /// 0 (most urgent) to 9.
    pub priority: u8,
    /// What is pinned to it from the start.
    pub metadata: Metadata,
    /// The record that started it, which wants to hear how it ends.
    pub parent: Option<Parent>,
    /// Where it comes from, when it takes over what another run has finished.
    pub origin: Option<Origin>,
    /// What it takes over, and the records of the stage that it begins at; none for a run that begins at its first step.
    pub records: Vec<StepRecord>,
    /// How it stands in the stage that it begins at, when that has more than one member.
    pub fan: Option<Fan>,
    /// The key of the rate of the step that it begins at, if that has one.
    pub starts: Option<Text>,
    /// The keys of limits that a run above it counts under: it does not wait for these, nor count.
    pub spared: Vec<Text>,
    /// When it was started.
    pub created_at: Timestamp,
    /// When it may be claimed first.
    pub due_at: Timestamp,
}

/// The record of another run that started a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The other run.
    pub run: RunId,
    /// Its record.
    pub position: Position,
}

/// Where a run comes from that took over what another one had finished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The other run.
    pub run: RunId,
    /// The step that it was restarted from: what stood before that was taken over.
    pub step: Text,
}

impl NewRun {
    /// The most urgent priority.
    pub const MOST_URGENT: u8 = 0;
    /// The priority of a run that says nothing.
    pub const DEFAULT_PRIORITY: u8 = 5;
    /// The least urgent priority.
    pub const LEAST_URGENT: u8 = 9;

    /// A run that is due at once, without a key, at the default priority.
    #[must_use]
    pub fn new(id: RunId, definition: Definition, input: Text, now: Timestamp) -> Self {
        Self {
            id,
            definition,
            input,
            key: None,
            priority: Self::DEFAULT_PRIORITY,
            metadata: Metadata::new(),
            parent: None,
            origin: None,
            records: Vec::new(),
            fan: None,
            starts: None,
            spared: Vec::new(),
            created_at: now,
            due_at: now,
        }
    }
}

/// Who may work on a run, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The worker that holds the run.
    pub holder: WorkerId,
    /// When the right ends unless it is renewed.
    pub until: Timestamp,
    /// For how long it was given at the last claim or renewal.
    pub length: Duration,
}

impl Lease {
    /// A lease of `length` that begins `now`.
    #[must_use]
    pub fn new(holder: WorkerId, now: Timestamp, length: Duration) -> Self {
        Self { holder, until: now + length, length }
    }

    /// Whether it counts at `now`. A lease that ends later than twice its own length from now was stamped by a clock
    /// that is not ours; it counts as expired, else a host with a clock ahead could keep a run for hours.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.until && self.until <= now + self.length.saturating_mul(2)
    }
}

/// Why a run failed or was cancelled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The step that ended it; none when it was ended from outside.
    pub step: Option<Text>,
    /// What kind of end it was.
    pub kind: CauseKind,
    /// In words, bounded.
    pub text: Text,
}

/// The kinds of [`Cause`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum CauseKind {
    /// The step answered with an error that is not retried, or one time too often.
    Error,
    /// The step's deadline passed.
    Deadline,
    /// The run cut off its worker again and again.
    Crash,
    /// A run that the step started has failed.
    Child,
    /// What the step wanted to write can't be stored.
    Refused,
    /// Somebody, or the step itself, cancelled it.
    Cancelled,
    /// What its steps had done was to be undone, and one of them could not be.
    Undo,
    /// It is not known whether the first call of a step did its work, and that is made at most once: somebody has to say.
    InDoubt,
}

/// The columns of a run that a decision may write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunState {
    /// Where the run stands in its life.
    pub status: Status,
    /// What the last step handed on, as JSON; there when the run is finished.
    pub output: Option<Text>,
    /// Why the run failed or was cancelled.
    pub cause: Option<Cause>,
    /// What is pinned to it.
    pub metadata: Metadata,
    /// Whether an operator stopped further calls for now.
    pub paused: bool,
    /// Claims in a row that ended without an answer while a call was under way.
    pub crashes: u32,
    /// Why the last worker that claimed it left it as it was: data that it could not read, say.
    pub stuck: Option<Text>,
    /// How it stands in the stage that it is at, when that has more than one member.
    pub fan: Option<Fan>,
    /// How far it is with undoing what its steps have done; none when it isn't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Box<Undo>>,
    /// The key of the rate of the step that its next call starts; none when that starts none, or one without a rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts: Option<Text>,
    /// When it was claimed first.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// One execution of a pipeline: a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// What it executes.
    pub definition: Definition,
    /// What the first step gets, as JSON.
    pub input: Text,
    /// At most one run of a pipeline has this key.
    pub key: Option<Text>,
    /// 0 (most urgent) to 9.
    pub priority: u8,
    /// The record that started it.
    pub parent: Option<Parent>,
    /// Where it comes from, when it took over what another run had finished; also when that one is gone.
    pub origin: Option<Origin>,
    /// When it was started.
    pub created_at: Timestamp,
    /// What decisions write.
    pub state: RunState,
    /// The fencing token.
    pub epoch: Epoch,
    /// Who holds it; none while it is idle.
    pub lease: Option<Lease>,
    /// When it wants to be looked at next; none when it waits for a message without limit, or ended.
    pub due_at: Option<Timestamp>,
    /// How many messages came in.
    pub inbox_seq: u64,
    /// Whether it is being removed: then nothing else happens to it any more, and part of it may be gone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sealed: bool,
    /// What it has taken of the limits, and what it waits for.
    #[serde(default, skip_serializing_if = "Permits::is_empty")]
    pub permits: Permits,
    /// The keys of limits that a run above it counts under.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spared: Vec<Text>,
}

impl Run {
    /// The row of a run as it is inserted.
    #[must_use]
    pub fn new(new: NewRun) -> Self {
        Self {
            id: new.id,
            definition: new.definition,
            input: new.input,
            key: new.key,
            priority: new.priority,
            parent: new.parent,
            origin: new.origin,
            created_at: new.created_at,
            state: RunState {
                status: Status::Created,
                output: None,
                cause: None,
                metadata: new.metadata,
                paused: false,
                crashes: 0,
                stuck: None,
                fan: new.fan,
                undo: None,
                starts: new.starts,
                started_at: None,
                ended_at: None,
            },
            epoch: Epoch(0),
            lease: None,
            due_at: Some(new.due_at),
            inbox_seq: 0,
            sealed: false,
            permits: Permits::default(),
            spared: new.spared,
        }
    }

    /// Where the run stands in its life.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.state.status
    }

    /// From when on the run may be claimed, as far as it is known; none when nothing but a message, a resume or a
    /// retry makes it claimable.
    #[must_use]
    pub fn claimable_at(&self) -> Option<Timestamp> {
        if self.state.status.is_terminal() || self.state.paused {
            return None;
        }
        if let Some(blocked) = &self.permits.blocked {
            return blocked.until;
        }
        match &self.lease {
            Some(lease) => Some(lease.until),
            None => self.due_at,
        }
    }

    /// Whether a worker may claim the run at `now`.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        let stale_lease = self.lease.is_some_and(|lease| !lease.is_live(now));
        self.claimable_at().is_some_and(|at| at <= now || stale_lease)
    }

    /// Whether whoever claims the run now gets one that cut off its worker so often that it is executed with no other
    /// such run beside it. One that is still held counts as cut off once more, as it does when it is claimed.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        self.crashes_if_claimed() >= Self::SUSPECT_AFTER
    }

    /// A run that is still held when it is claimed was cut off in a call.
    pub(super) fn crashes_if_claimed(&self) -> u32 {
        self.state.crashes.saturating_add(u32::from(self.lease.is_some()))
    }

    /// How many cut-off calls make a run suspect.
    pub const SUSPECT_AFTER: u32 = 2;

    /// The update by which a worker takes the right to work on the run. It applies only if nobody else claimed or
    /// changed the run since it was read.
    ///
    /// A run that is still held was cut off in a call: that is counted. No limits are looked at: see
    /// [`claim_within`](Self::claim_within).
    #[must_use]
    pub fn claim(&self, lease: Lease, now: Timestamp) -> Update {
        Update {
            state: Some(RunState {
                status: Status::Pending,
                crashes: self.crashes_if_claimed(),
                stuck: None,
                started_at: self.state.started_at.or(Some(now)),
                ..self.state.clone()
            }),
            ..Update::new(self.id, Guard::Idle(self.epoch), Hold::Claim(lease), now)
        }
    }

    /// The same, if these limits let it.
    #[must_use]
    pub fn claim_within(&self, limits: Option<&Limits>, lease: Lease, now: Timestamp) -> Update {
        Update { limits: limits.map(|limits| Box::new(limits.clone())), ..self.claim(lease, now) }
    }
}

impl Run {
    /// The update by which a run that was started with another list of steps is stored under `definition`, from which those
    /// know it who go on with it by their list. It applies only if nobody claimed or changed the run since it was read; the
    /// run is due then.
    ///
    /// A run that is still held was cut off in a call: that is counted.
    #[must_use]
    pub fn adopt(&self, definition: Definition, now: Timestamp) -> Update {
        let state = self
            .lease
            .is_some()
            .then(|| RunState { crashes: self.crashes_if_claimed(), ..self.state.clone() });
        let hold = Hold::Release { due_at: Some(now), seen: self.inbox_seq };
        let definition = Some(definition);
        Update { definition, state, ..Update::new(self.id, Guard::Idle(self.epoch), hold, now) }
    }
}

/// A run with what hangs on it, or the part of that which was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredRun {
    /// The row.
    pub run: Run,
    /// Where the back end keeps the row.
    #[serde(skip)]
    pub locator: Locator,
    /// Records of its steps.
    pub records: BTreeMap<Position, StepRecord>,
    /// The messages that no decision took, in the order in which they came.
    pub inbox: Vec<Message>,
    /// The names of those that were taken, kept until the run is pruned, so that one which comes late a second time is
    /// recognised. Where a part of a run is read, they are left out.
    #[serde(default)]
    pub taken: BTreeSet<MessageId>,
    /// What happened to it, each entry under its number; read as [`Part::History`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub history: BTreeMap<u32, HistoryEntry>,
}

impl StoredRun {
    /// A run as it is inserted.
    #[must_use]
    pub fn new(mut new: NewRun) -> Self {
        let records = std::mem::take(&mut new.records);
        let records = records.into_iter().map(|record| (record.position, record)).collect();
        Self { records, ..Self::bare(Run::new(new), Locator::default()) }
    }

    /// A row with nothing that hangs on it.
    #[must_use]
    pub const fn bare(run: Run, locator: Locator) -> Self {
        Self {
            run,
            locator,
            records: BTreeMap::new(),
            inbox: Vec::new(),
            taken: BTreeSet::new(),
            history: BTreeMap::new(),
        }
    }

    /// Which stage the run is at: the one that it has come to last, or, when it is undone, the one that is undone next.
    #[must_use]
    pub fn stage(&self) -> u32 {
        if let Some(below) = self.run.state.undo_below() {
            return self.undo_stage(below);
        }
        let last = || self.records.last_key_value().map_or(0, |(position, _)| position.stage);
        self.run.state.fan.map_or_else(last, |fan| fan.stage)
    }

    /// The records of the stage that the run is at, as far as they are here; of one that is undone those that are next.
    pub fn current(&self) -> impl Iterator<Item = &StepRecord> {
        self.records.range(self.frontier_bounds()).map(|(_, record)| record)
    }

    /// The messages that no decision took.
    pub fn untaken(&self) -> impl Iterator<Item = &Message> {
        self.inbox.iter()
    }

    /// Lets go of the records that `update` finished and no decision needs any more, so that a run with a long list does
    /// not grow in the memory of whoever holds it.
    pub(crate) fn let_go(&mut self, update: &Update) {
        if self.run.state.fan.is_none() || self.run.state.undo.is_some() {
            return;
        }
        for record in update.records.iter().map(RecordWrite::record) {
            if record.status == Status::Finished && record.position.item >= Part::WORK_BEFORE {
                self.records.remove(&record.position);
            }
        }
    }
}
