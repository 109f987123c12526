//! Sees what is asked of a repository, and what it answers.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use prorch_core::repository::{
    Answer, Claim, ClaimRequest, Filter, Health, NewRun, Outlook, Page, Part, Repository, RunId, Saved,
    StoreError, StoredRun, Turn, Update,
};

/// What a [`SpyRepository`] tells of.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Seen<'a> {
    /// This method is called. Waiting for a change is no call.
    Called(&'static str),
    /// This method has returned, whatever it answered.
    Returned(&'static str),
    /// An update was answered.
    Answered(&'a Update, &'a Answer),
    /// A run was claimed.
    Claimed(&'a Claim),
}

/// A repository that tells a function of all that passes. Clones are one repository.
pub struct SpyRepository<R> {
    inner: Arc<R>,
    tell: Arc<dyn Fn(Seen<'_>) + Send + Sync>,
}

impl<R> SpyRepository<R> {
    /// `inner`, with all that passes told to `tell`.
    pub fn new(inner: R, tell: impl Fn(Seen<'_>) + Send + Sync + 'static) -> Self {
        Self { inner: Arc::new(inner), tell: Arc::new(tell) }
    }

    async fn ask<T>(&self, method: &'static str, call: impl Future<Output = T>) -> T {
        (self.tell)(Seen::Called(method));
        let answer = call.await;
        (self.tell)(Seen::Returned(method));
        answer
    }

    fn answered(&self, updates: &[Update], answers: &[Answer]) {
        for (update, answer) in updates.iter().zip(answers) {
            (self.tell)(Seen::Answered(update, answer));
        }
    }

    fn claimed(&self, claims: &[Claim]) {
        claims.iter().for_each(|claim| (self.tell)(Seen::Claimed(claim)));
    }
}

impl<R> Clone for SpyRepository<R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), tell: self.tell.clone() }
    }
}

impl<R: fmt::Debug> fmt::Debug for SpyRepository<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpyRepository").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<R: Repository> Repository for SpyRepository<R> {
    async fn get(&self, id: RunId, part: Part) -> Result<Option<StoredRun>, StoreError> {
        self.ask("get", self.inner.get(id, part)).await
    }

    async fn save(&self, runs: Vec<NewRun>) -> Result<Vec<Saved>, StoreError> {
        self.ask("save", self.inner.save(runs)).await
    }

    async fn update(&self, updates: Arc<[Update]>) -> Result<Vec<Answer>, StoreError> {
        let answers = self.ask("update", self.inner.update(updates.clone())).await?;
        self.answered(&updates, &answers);
        Ok(answers)
    }

    async fn search(&self, filter: &Filter) -> Result<Page, StoreError> {
        self.ask("search", self.inner.search(filter)).await
    }

    async fn turn(&self, updates: Arc<[Update]>, claim: Option<ClaimRequest>) -> Result<Turn, StoreError> {
        let turn = self.ask("turn", self.inner.turn(updates.clone(), claim)).await?;
        self.answered(&updates, &turn.answers);
        self.claimed(turn.claims.as_deref().unwrap_or_default());
        Ok(turn)
    }

    async fn outlook(&self, request: &ClaimRequest) -> Result<Outlook, StoreError> {
        self.ask("outlook", self.inner.outlook(request)).await
    }

    async fn health(&self) -> Health {
        self.inner.health().await
    }

    async fn changed(&self) {
        self.inner.changed().await;
    }
}
