use serde::{Deserialize, Serialize};

use super::{
    Append, Definition, Epoch, Lease, Limits, Locator, Message, MessageId, NewRun, Position, Removal, RunId,
    RunState, StepRecord, StoredRun, Text, Timestamp, WorkerId,
};

/// The rows that one decision writes, guarded. The only shape of write: a change to a run without a fence can't be
/// written down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Update {
    /// The run that it changes.
    pub run: RunId,
    /// Where the back end keeps it, when that is known.
    pub locator: Locator,
    /// What must hold for the update to apply.
    pub guard: Guard,
    /// When it was decided.
    pub at: Timestamp,
    /// The run's new columns; none when they stay as they are.
    pub state: Option<RunState>,
    /// What the run is stored under from now on; none when that stays. One of another pipeline is rejected.
    pub definition: Option<Definition>,
    /// Records to write.
    pub records: Vec<RecordWrite>,
    /// Records to remove.
    pub removed: Vec<Position>,
    /// Messages that the decision took.
    pub taken: Vec<MessageId>,
    /// Messages to put into inboxes: the run's own, or another's, also one that this update starts. One at a run that
    /// ended is dropped.
    pub posts: Vec<Post>,
    /// Runs to start.
    pub starts: Vec<NewRun>,
    /// What it adds to the run's history, together with all else; nothing under [`Guard::Post`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<Box<Append>>,
    /// What is removed of a run that has ended; then the update does nothing else, and its guard is [`Guard::Idle`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removal: Option<Removal>,
    /// What becomes of the claim.
    pub hold: Hold,
    /// What a claim has to respect; of no meaning in another update. Where a limit is full, nothing else is written than that
    /// the run waits for it ([`Answer::Full`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Box<Limits>>,
}

/// What must hold for an [`Update`] to apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Guard {
    /// The worker still holds the run: epoch and holder agree, and the claim was not released.
    Held(Epoch, WorkerId),
    /// The same, for an update that is sent again because it is not known whether it was applied. The epoch rises: a
    /// copy that is still on its way, and would undo what is written after this one, can't apply any more.
    Again(Epoch, WorkerId),
    /// Nobody holds the run (or the lease ran out) and nobody claimed or changed it since it was read at this epoch.
    /// The epoch rises.
    Idle(Epoch),
    /// Nothing: only messages are posted, nothing else is touched.
    Post,
}

/// What becomes of the claim with an [`Update`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hold {
    /// It stays as it is.
    Keep,
    /// It begins, or goes on for longer.
    Claim(Lease),
    /// It ends, and with it the epoch's power. The run is due at the given time, or at once when a message came that
    /// the decision had not seen.
    ///
    /// When more came in than the decision knew, the run is due at once, and a state that pauses it is written as one
    /// that does not: whoever claims it next decides on what came.
    Release {
        /// When the run wants to be looked at next.
        due_at: Option<Timestamp>,
        /// The `inbox_seq` up to which the decision knew the inbox.
        seen: u64,
    },
}

/// A message on its way to a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    /// The run that it is for.
    pub to: RunId,
    /// The message.
    pub message: Message,
}

/// A record to write, and whether it is there already.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum RecordWrite {
    /// The run comes to this step.
    New(StepRecord),
    /// The record is there and changes.
    Changed(StepRecord),
}

impl RecordWrite {
    /// The record, new or not.
    #[must_use]
    pub const fn record(&self) -> &StepRecord {
        match self {
            Self::New(record) | Self::Changed(record) => record,
        }
    }

    /// The record, taken out.
    #[must_use]
    pub fn into_record(self) -> StepRecord {
        match self {
            Self::New(record) | Self::Changed(record) => record,
        }
    }
}

/// What a repository says to an [`Update`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// It was applied, whole.
    Applied {
        /// How many messages came in for the run so far: more than the worker has seen says that there is mail.
        inbox_seq: u64,
    },
    /// It was applied, and the run is gone with all that hung on it: a [`Removal`].
    Removed,
    /// The guard did not hold; nothing was written. To an update that was sent a second time this says *unknown*: the
    /// first one may have applied.
    Stale,
    /// The run is not there, or it ended and the update was a message, or it is being removed; nothing was written.
    Closed,
    /// The store can't take what the update wants to write; nothing was written.
    Rejected(Text),
    /// A limit is full. The run waits for it, and nothing else was written.
    Full,
}

impl Answer {
    /// Whether something was written.
    #[must_use]
    pub const fn has_written(&self) -> bool {
        matches!(self, Self::Applied { .. } | Self::Removed | Self::Full)
    }
}

impl Update {
    /// An update that changes nothing yet.
    #[must_use]
    pub const fn new(run: RunId, guard: Guard, hold: Hold, at: Timestamp) -> Self {
        Self {
            run,
            locator: Locator(0),
            guard,
            at,
            state: None,
            definition: None,
            records: Vec::new(),
            removed: Vec::new(),
            taken: Vec::new(),
            posts: Vec::new(),
            starts: Vec::new(),
            history: None,
            removal: None,
            hold,
            limits: None,
        }
    }

    /// An update that puts `message` into the inbox of `run`.
    #[must_use]
    pub fn post(run: RunId, message: Message) -> Self {
        let at = message.at;
        Self { posts: vec![Post { to: run, message }], ..Self::new(run, Guard::Post, Hold::Keep, at) }
    }

    /// This update and then `later`, which was decided as if this one had been applied, as one update.
    #[must_use]
    pub(crate) fn then(mut self, later: Self) -> Self {
        for write in later.records {
            let position = write.record().position;
            let earlier = self.records.iter().position(|write| write.record().position == position);
            match earlier.map(|at| &mut self.records[at]) {
                Some(RecordWrite::New(record)) => *record = write.into_record(),
                Some(changed) => *changed = write,
                None => self.records.push(write),
            }
        }
        self.removed.extend(later.removed);
        self.taken.extend(later.taken);
        self.posts.extend(later.posts);
        self.starts.extend(later.starts);
        match (&mut self.history, later.history) {
            (Some(earlier), Some(later)) => earlier.entries.extend(later.entries),
            (history, later) => *history = history.take().or(later),
        }
        self.definition = later.definition.or(self.definition);
        Self { state: later.state.or(self.state), hold: later.hold, at: later.at, ..self }
    }

    /// The same update for sending it again after an answer that says *unknown*: see [`Guard::Again`].
    #[must_use]
    pub fn again(&self) -> Self {
        let guard = match self.guard {
            Guard::Held(epoch, holder) => Guard::Again(epoch, holder),
            guard => guard,
        };
        Self { guard, ..self.clone() }
    }

    /// Whether the worker gives the run back with this update, so that it has room for another.
    #[must_use]
    pub const fn releases(&self) -> bool {
        matches!(self.hold, Hold::Release { .. })
    }

    /// Whether something may be due because of this update that was not due before: what
    /// [`Repository::changed`](crate::repository::Repository::changed) hints at.
    #[must_use]
    pub const fn may_wake(&self) -> bool {
        let releases = matches!(self.hold, Hold::Release { due_at: Some(_), .. });
        releases || !self.posts.is_empty() || !self.starts.is_empty()
    }

    /// Whether it takes the right to work on a run that nobody has.
    #[must_use]
    pub const fn is_claim(&self) -> bool {
        matches!((self.guard, self.hold, self.removal), (Guard::Idle(_), Hold::Claim(_), None))
    }

    /// What the update means: applies it to its run, whole or not at all. Limits, posts to other runs and runs to start are
    /// left to the caller (see [`Runs`](crate::repository::Runs)), and so is a run that is to go: the answer is then
    /// [`Answer::Removed`].
    ///
    /// A back end that can hold a run as a value calls this; one that speaks SQL does the same in SQL.
    pub fn apply(&self, stored: &mut StoredRun) -> Answer {
        if let Some(refusal) = self.refusal(stored) {
            return refusal;
        }
        if let Some(removal) = self.removal {
            return stored.remove(removal);
        }
        self.raise_epoch(stored);
        if self.guard != Guard::Post {
            self.write(stored);
            if let Some(append) = &self.history {
                stored.append(append);
            }
        }
        for post in self.posts.iter().filter(|post| post.to == self.run) {
            stored.receive(&post.message);
        }
        if self.guard != Guard::Post {
            self.settle(stored);
        }
        Answer::Applied { inbox_seq: stored.run.inbox_seq }
    }

    /// What the guard answers when it does not hold, and why the update can't be.
    pub(crate) fn refusal(&self, stored: &StoredRun) -> Option<Answer> {
        let run = &stored.run;
        let (holds, refusal) = match self.guard {
            Guard::Held(epoch, holder) | Guard::Again(epoch, holder) => {
                (run.epoch == epoch && run.lease.is_some_and(|lease| lease.holder == holder), Answer::Stale)
            }
            Guard::Idle(epoch) => {
                (run.epoch == epoch && !run.lease.is_some_and(|lease| lease.is_live(self.at)), Answer::Stale)
            }
            Guard::Post => (!run.state.status.is_terminal(), Answer::Closed),
        };
        if !holds {
            return Some(refusal);
        }
        if run.sealed && self.removal.is_none() {
            return Some(Answer::Closed);
        }
        let moves = self.definition.as_ref().is_some_and(|new| new.pipeline != run.definition.pipeline);
        (moves && self.guard != Guard::Post).then(|| Answer::Rejected(Text::from(Self::OTHER_PIPELINE)))
    }

    /// Why an update is rejected by which a run would become one of another pipeline.
    pub const OTHER_PIPELINE: &str = "a run stays one of its pipeline: its key is unique among those";

    /// Writes the rows of the run itself, whatever the guard says: for whoever knows that the update will be sent, and
    /// goes on from there.
    pub(crate) fn write(&self, stored: &mut StoredRun) {
        if let Some(state) = &self.state {
            stored.run.state = state.clone();
        }
        if let Some(definition) = &self.definition {
            stored.run.definition = definition.clone();
        }
        for position in &self.removed {
            stored.records.remove(position);
        }
        for write in &self.records {
            let record = write.record();
            stored.records.insert(record.position, record.clone());
        }
        if !self.taken.is_empty() {
            let is_taken = |message: &mut Message| self.taken.contains(&message.id);
            stored.taken.extend(stored.inbox.extract_if(.., is_taken).map(|message| message.id));
        }
    }

    /// What an answer that says *applied* adds, for whoever wrote the rows when the update was sent: the epoch, and what
    /// became of the claim.
    pub(crate) fn confirm(&self, stored: &mut StoredRun) {
        self.raise_epoch(stored);
        self.settle(stored);
    }

    fn raise_epoch(&self, stored: &mut StoredRun) {
        if let Guard::Idle(epoch) | Guard::Again(epoch, _) = self.guard {
            stored.run.epoch = epoch.next();
        }
    }

    fn settle(&self, stored: &mut StoredRun) {
        let run = &mut stored.run;
        match self.hold {
            Hold::Keep => {}
            Hold::Claim(lease) => {
                run.lease = Some(lease);
                run.due_at = Some(lease.until);
            }
            Hold::Release { due_at, seen } => {
                run.lease = None;
                let has_seen_all = run.inbox_seq <= seen;
                run.due_at = if has_seen_all { due_at } else { Some(self.at) };
                // A paused run is not claimed: what was not seen, a cancel say, would wait there for good.
                run.state.paused &= has_seen_all || self.state.is_none();
            }
        }
        if run.state.status.is_terminal() {
            run.lease = None;
            run.due_at = None;
            run.permits.running = None;
        }
        if run.lease.is_none() {
            run.permits.calls = None;
        }
        run.permits.blocked = None;
    }
}

impl StoredRun {
    fn append(&mut self, append: &Append) {
        let next = self.history.last_key_value().map_or(0, |(last, _)| last.saturating_add(1));
        self.history.extend((next..).zip(append.entries.iter().cloned()));
        let last = self.history.last_key_value().map_or(0, |(last, _)| *last);
        let gap = append.gap(last);
        self.history.retain(|number, _| !gap.contains(number));
    }

    /// Puts a message into the inbox and wakes the run when it is idle, unless the run ended or knows the message, or
    /// the message is nothing to wake it for ([`Message::wakes`]). A pause that keeps an idle run from being claimed for it
    /// is lifted ([`Message::unpauses`]).
    pub fn receive(&mut self, message: &Message) {
        let known = self.taken.contains(&message.id) || self.inbox.iter().any(|other| other.id == message.id);
        if known || self.run.state.status.is_terminal() {
            return;
        }
        self.run.inbox_seq += 1;
        self.inbox.push(Message { seq: self.run.inbox_seq, ..message.clone() });
        if self.run.lease.is_some() {
            return;
        }
        self.run.state.paused &= !message.unpauses();
        // Whoever claims it asks the limit again: a cancel passes, and one that was resumed may have been passed over.
        self.run.permits.blocked = None;
        if message.wakes(self.run.status()) {
            self.run.due_at = Some(self.run.due_at.map_or(message.at, |due| due.min(message.at)));
        }
    }
}
