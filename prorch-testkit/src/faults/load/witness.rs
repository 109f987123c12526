//! Who sees both what steps do and what is committed.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use prorch_core::repository::{Answer, RunId};

use crate::spy::Seen;

/// Notes each call of a step, and each committed end of one.
#[derive(Debug, Default)]
pub(super) struct Witness {
    notes: Mutex<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    calls: HashMap<(RunId, String), u32>,
    ended: HashSet<(RunId, String)>,
    too_late: Vec<String>,
}

impl Witness {
    /// A step is called. Says the how-many-th call it is.
    pub(super) fn effect(&self, run: RunId, step: &str) -> u32 {
        let mut notes = self.notes();
        let which = (run, step.to_owned());
        if notes.ended.contains(&which) {
            notes.too_late.push(format!("{step} of run {run}"));
        }
        let calls = notes.calls.entry(which).or_default();
        *calls += 1;
        *calls
    }

    /// Something passed between the engines and the store.
    pub(super) fn saw(&self, seen: Seen<'_>) {
        let Seen::Answered(update, Answer::Applied { .. }) = seen else { return };
        let ended = update.records.iter().map(|write| write.record());
        let ended = ended.filter(|record| record.status.is_terminal());
        self.notes().ended.extend(ended.map(|record| (update.run, record.name.to_string())));
    }

    /// The calls that were made after the step's end was committed.
    pub(super) fn too_late(&self) -> Vec<String> {
        self.notes().too_late.clone()
    }

    /// How often a step of a run was called.
    pub(super) fn calls(&self, run: RunId, step: &str) -> u32 {
        self.notes().calls.get(&(run, step.to_owned())).copied().unwrap_or_default()
    }

    /// How many calls there were in all.
    pub(super) fn total(&self) -> u32 {
        self.notes().calls.values().sum()
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
