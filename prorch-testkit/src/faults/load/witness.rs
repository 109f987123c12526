//! Who sees both what steps do and what is committed.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prorch_core::repository::{
    Answer, Claim, ClaimRequest, Filter, NewRun, Page, Part, Repository, RunId, Saved, StoreError, StoredRun,
    Timestamp, Turn, Update,
};

/// Notes each call of a step, and each committed end of one.
#[derive(Debug, Default)]
pub(super) struct Witness {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    calls: HashMap<(RunId, String), u32>,
    ended: HashSet<(RunId, String)>,
    too_late: Vec<String>,
}

impl Witness {
    /// A step is called. Says the how-many-th call it is.
    pub(super) fn effect(&self, run: RunId, step: &str) -> u32 {
        let mut seen = self.seen();
        let which = (run, step.to_owned());
        if seen.ended.contains(&which) {
            seen.too_late.push(format!("{step} of run {run}"));
        }
        let calls = seen.calls.entry(which).or_default();
        *calls += 1;
        *calls
    }

    fn committed(&self, updates: &[Update], answers: &[Answer]) {
        let mut seen = self.seen();
        for (update, _) in
            updates.iter().zip(answers).filter(|(_, answer)| matches!(answer, Answer::Applied { .. }))
        {
            let ended = update.records.iter().map(|write| write.record());
            let ended = ended.filter(|record| record.status.is_terminal());
            seen.ended.extend(ended.map(|record| (update.run, record.name.to_string())));
        }
    }

    /// The calls that were made after the step's end was committed.
    pub(super) fn too_late(&self) -> Vec<String> {
        self.seen().too_late.clone()
    }

    /// How often a step of a run was called.
    pub(super) fn calls(&self, run: RunId, step: &str) -> u32 {
        self.seen().calls.get(&(run, step.to_owned())).copied().unwrap_or_default()
    }

    /// How many calls there were in all.
    pub(super) fn total(&self) -> u32 {
        self.seen().calls.values().sum()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A repository whose commits are seen by a [`Witness`]: it stands within the faults, so that it also sees what takes
/// effect without an answer.
#[derive(Debug)]
pub(super) struct Witnessed<R> {
    pub(super) inner: R,
    pub(super) witness: Arc<Witness>,
}

impl<R: Repository> Repository for Witnessed<R> {
    async fn get(&self, id: RunId, part: Part) -> Result<Option<StoredRun>, StoreError> {
        self.inner.get(id, part).await
    }

    async fn save(&self, runs: Vec<NewRun>) -> Result<Vec<Saved>, StoreError> {
        self.inner.save(runs).await
    }

    async fn update(&self, updates: Arc<[Update]>) -> Result<Vec<Answer>, StoreError> {
        let answers = self.inner.update(updates.clone()).await?;
        self.witness.committed(&updates, &answers);
        Ok(answers)
    }

    async fn search(&self, filter: &Filter) -> Result<Page, StoreError> {
        self.inner.search(filter).await
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claim>, StoreError> {
        self.inner.claim(request).await
    }

    async fn turn(&self, updates: Arc<[Update]>, claim: Option<ClaimRequest>) -> Result<Turn, StoreError> {
        let turn = self.inner.turn(updates.clone(), claim).await?;
        self.witness.committed(&updates, &turn.answers);
        Ok(turn)
    }

    async fn next_due(&self, request: &ClaimRequest) -> Result<Option<Timestamp>, StoreError> {
        self.inner.next_due(request).await
    }

    async fn changed(&self) {
        self.inner.changed().await;
    }
}
