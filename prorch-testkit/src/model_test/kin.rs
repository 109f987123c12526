//! What an update of one run does to others: those that it started, and the one that started it.

use prorch_core::model::{Mail, RecordWrite, StepRecord};
use prorch_core::repository::{Guard, NewRun, RunId, Update};

use super::journal::Journal;

impl Journal {
    /// What an update that was applied does to other runs.
    pub(super) fn reaches(&mut self, update: &Update, at: u64) {
        for new in update.starts.iter().filter(|_| update.guard != Guard::Post) {
            self.starts(update, new);
        }
        for post in update.posts.iter().filter(|post| post.to != update.run) {
            self.touched.insert(post.to);
            let Some(life) = self.lives.get_mut(&post.to) else {
                self.is_wrong(format!("P10: something is sent to run {}, which was never started", post.to));
                continue;
            };
            life.receive(&post.message, at);
            if let Mail::Ended { child, .. } = post.message.mail {
                self.was_told_of_an_end(post.to, child);
            }
        }
    }

    /// Whoever started a run hears of each of its ends once.
    fn was_told_of_an_end(&mut self, parent: RunId, of: RunId) {
        let is_of = |mail: &Mail| matches!(mail, Mail::Ended { child, .. } if *child == of);
        let told = self.lives[&parent].inbox.iter().filter(|mail| is_of(&mail.mail)).count();
        let ends = self.lives.get(&of).map_or(0, |child| child.ends.len());
        if told > ends {
            self.is_wrong(format!(
                "P8: run {parent} is told {told} times how run {of} ended, which did {ends} times"
            ));
        }
    }

    /// A record starts a run: one for each generation, whoever calls it and how often.
    fn starts(&mut self, update: &Update, new: &NewRun) {
        let Some(parent) = new.parent else {
            return self
                .is_wrong(format!("P10: run {} is started by {}, and does not know it", new.id, update.run));
        };
        let is_its = |record: &&StepRecord| record.position == parent.position;
        let record = update.records.iter().map(RecordWrite::record).find(is_its);
        let Some(child) = record.and_then(|record| record.child).filter(|child| child.run == new.id) else {
            return self
                .is_wrong(format!("P10: run {} is started, and no record says so: {update:?}", new.id));
        };
        let of_record = (parent.run, parent.position, child.generation);
        let first = *self.children.entry(of_record).or_insert(new.id);
        if new.key.is_none() {
            self.is_wrong(format!("P10: run {} is started by a record without a key", new.id));
        }
        if first != new.id || parent.run != update.run {
            self.is_wrong(format!("P10: {of_record:?} started run {first}, and starts run {}", new.id));
        }
        match self.known(new) {
            None => {
                self.touched.insert(new.id);
                self.begins(new);
                self.born.push(new.clone());
            }
            Some(known) if known == new.id => {}
            Some(known) => self.is_wrong(format!("P10: run {} has the key of run {known}", new.id)),
        }
    }
}
