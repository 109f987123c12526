//! A run, by what was seen of it.

use std::collections::BTreeMap;

use prorch_core::model::{Mail, Message, MessageId, Position, Status, StepRecord, WorkerId};
use prorch_core::repository::{Guard, Lease, Text, Update};

use super::step::Done;

/// A run, by what was committed of it.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) status: Status,
    pub(super) paused: bool,
    pub(super) key: Option<(Text, Text)>,
    pub(super) epoch: u64,
    pub(super) lease: Option<Lease>,
    pub(super) records: BTreeMap<Position, RecordSeen>,
    /// Errors that were committed and calls that were cut off, since the last answer or the step's entry.
    pub(super) attempts: u32,
    /// Calls that were cut off since the last answer, good or bad.
    pub(super) cut_offs: u32,
    pub(super) inbox: Vec<MailSeen>,
    /// When it was last claimed, or changed by who may.
    pub(super) written_at: u64,
    /// Whether somebody is about to let it try again.
    pub(super) may_reopen: bool,
    /// Whether it was let try again.
    pub(super) was_reopened: bool,
    /// The ends that it came to: more than one when it was let try again.
    pub(super) ends: Vec<Status>,
    /// Its steps stand one after the other: of each of them it is known how often it was called. Where steps are called
    /// side by side, a crash counts for all of them.
    pub(super) is_line: bool,
    /// Calls that were cut off, in all.
    pub(super) all_cut_offs: u32,
}

/// A record, by what was committed of it.
#[derive(Debug)]
pub(super) struct RecordSeen {
    pub(super) name: Text,
    pub(super) status: Status,
    pub(super) done: Done,
    /// As it was written last.
    pub(super) written: StepRecord,
    /// Whether the first call was made that is written down.
    pub(super) called_once: bool,
    /// Whether the step said since that it may be made again.
    pub(super) says_again: bool,
}

/// A message that came in.
#[derive(Debug)]
pub(super) struct MailSeen {
    pub(super) id: MessageId,
    pub(super) mail: Mail,
    pub(super) at: u64,
    pub(super) taken: bool,
}

impl Life {
    pub(super) const fn of(key: Option<(Text, Text)>, is_line: bool) -> Self {
        Self {
            status: Status::Created,
            paused: false,
            key,
            epoch: 0,
            lease: None,
            records: BTreeMap::new(),
            attempts: 0,
            cut_offs: 0,
            inbox: Vec::new(),
            written_at: 0,
            may_reopen: false,
            was_reopened: false,
            ends: Vec::new(),
            is_line,
            all_cut_offs: 0,
        }
    }

    /// Whether this update may change the run, or put a message into its inbox.
    pub(super) fn allows(&self, update: &Update) -> bool {
        match update.guard {
            Guard::Held(epoch, holder) | Guard::Again(epoch, holder) => {
                epoch.0 == self.epoch && self.holder() == Some(holder)
            }
            Guard::Idle(epoch) => {
                epoch.0 == self.epoch && !self.lease.is_some_and(|lease| lease.is_live(update.at))
            }
            Guard::Post => !self.status.is_terminal(),
        }
    }

    pub(super) fn holder(&self) -> Option<WorkerId> {
        self.lease.map(|lease| lease.holder)
    }

    pub(super) fn was_cut_off(&mut self) {
        if self.lease.take().is_some() {
            self.attempts += 1;
            self.cut_offs += 1;
            self.all_cut_offs += 1;
        }
    }

    /// A message comes in, if it is not known. A pause does not keep an idle run from hearing what ends it.
    pub(super) fn receive(&mut self, message: &Message, at: u64) {
        if self.status.is_terminal() || self.inbox.iter().any(|mail| mail.id == message.id) {
            return;
        }
        let lifts = matches!(message.mail, Mail::Cancel { .. } | Mail::Resume);
        self.paused &= self.lease.is_some() || !lifts;
        self.inbox.push(MailSeen { id: message.id, mail: message.mail.clone(), at, taken: false });
    }

    pub(super) fn receive_own(&mut self, update: &Update, at: u64) {
        for post in update.posts.iter().filter(|post| post.to == update.run) {
            self.receive(&post.message, at);
        }
    }

    /// The record that is called this: the name of its step, and for an item of a list its number.
    pub(super) fn called(&self, label: &str) -> Option<&RecordSeen> {
        self.records
            .iter()
            .find(|(at, record)| is_called(label, &record.name, **at))
            .map(|(_, record)| record)
    }

    /// The same, to be changed.
    pub(super) fn called_mut(&mut self, label: &str) -> Option<&mut RecordSeen> {
        let mut records = self.records.iter_mut();
        records.find(|(at, record)| is_called(label, &record.name, **at)).map(|(_, record)| record)
    }

    /// The signals of a name that wait.
    pub(super) fn signals(&self, name: &str) -> impl Iterator<Item = &MailSeen> {
        let is_named = move |mail: &&MailSeen| matches!(&mail.mail, Mail::Signal { name: other, .. } if other.as_str() == name);
        self.inbox.iter().filter(|mail| !mail.taken).filter(is_named)
    }
}

/// Whether the record of a step at a position is called this.
pub(super) fn is_called(label: &str, step: &str, at: Position) -> bool {
    label == step || label == format!("{step}[{}]", at.item)
}
