use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::{
    Answer, Filter, NewRun, Page, Part, Repository, RunId, Runs, Saved, StoreError, StoredRun, Update,
};

/// Runs in the memory of this process, for tests and for work that may be lost with it. Clones share the runs.
///
/// It survives the end of an orchestrator, not the end of the process.
#[derive(Clone, Debug, Default)]
pub struct MemoryRepository {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    runs: Mutex<Runs>,
    changed: Notify,
}

impl MemoryRepository {
    /// A repository without runs.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn runs(&self) -> MutexGuard<'_, Runs> {
        // A panic while the lock was held can't leave half an update behind: `Runs` has no code of users in it.
        self.shared.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Repository for MemoryRepository {
    async fn get(&self, id: RunId, part: Part) -> Result<Option<StoredRun>, StoreError> {
        Ok(self.runs().get(id, part))
    }

    async fn save(&self, runs: Vec<NewRun>) -> Result<Vec<Saved>, StoreError> {
        let saved = self.runs().save(runs);
        self.shared.changed.notify_waiters();
        saved
    }

    async fn update(&self, updates: Arc<[Update]>) -> Result<Vec<Answer>, StoreError> {
        let mut runs = self.runs();
        let before = runs.handed_over();
        let answers = runs.update(&updates);
        let has_woken = runs.handed_over() != before;
        drop(runs);
        if has_woken || updates.iter().any(Update::may_wake) {
            self.shared.changed.notify_waiters();
        }
        Ok(answers)
    }

    async fn search(&self, filter: &Filter) -> Result<Page, StoreError> {
        Ok(self.runs().search(filter))
    }

    async fn changed(&self) {
        self.shared.changed.notified().await;
    }
}
