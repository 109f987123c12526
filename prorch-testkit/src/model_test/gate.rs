//! A worker that stands still for a while: what it asks of the store, or what the store answers, waits.

use std::future::Future;
use std::sync::Arc;

use prorch_core::repository::{
    Answer, ClaimRequest, Filter, NewRun, Outlook, Page, Part, Repository, RunId, Saved, StoreError,
    StoredRun, Turn, Update,
};
use tokio::sync::watch;

/// Where a worker stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    Open,
    /// Before what it asks comes to the store.
    Before,
    /// Before it hears what the store answered.
    After,
}

/// A repository behind a gate. Clones have one gate.
#[derive(Clone)]
pub(super) struct Gated<R> {
    inner: R,
    gate: watch::Sender<Gate>,
}

impl<R: Repository> Gated<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, gate: watch::Sender::new(Gate::Open) }
    }

    pub(super) const fn inner(&self) -> &R {
        &self.inner
    }

    pub(super) fn set(&self, gate: Gate) {
        self.gate.send_replace(gate);
    }

    async fn pass<T>(&self, asked: impl Future<Output = T>) -> T {
        self.wait_while(|gate| gate == Gate::Before).await;
        let answer = asked.await;
        self.wait_while(|gate| gate != Gate::Open).await;
        answer
    }

    async fn wait_while(&self, is_shut: impl Fn(Gate) -> bool) {
        // The other end is here, so that it is not closed.
        let _ = self.gate.subscribe().wait_for(|gate| !is_shut(*gate)).await;
    }
}

impl<R: Repository> Repository for Gated<R> {
    async fn get(&self, id: RunId, part: Part) -> Result<Option<StoredRun>, StoreError> {
        self.pass(self.inner.get(id, part)).await
    }

    async fn save(&self, runs: Vec<NewRun>) -> Result<Vec<Saved>, StoreError> {
        self.pass(self.inner.save(runs)).await
    }

    async fn update(&self, updates: Arc<[Update]>) -> Result<Vec<Answer>, StoreError> {
        self.pass(self.inner.update(updates)).await
    }

    async fn search(&self, filter: &Filter) -> Result<Page, StoreError> {
        self.pass(self.inner.search(filter)).await
    }

    async fn turn(&self, updates: Arc<[Update]>, claim: Option<ClaimRequest>) -> Result<Turn, StoreError> {
        self.pass(self.inner.turn(updates, claim)).await
    }

    async fn outlook(&self, request: &ClaimRequest) -> Result<Outlook, StoreError> {
        self.pass(self.inner.outlook(request)).await
    }

    async fn changed(&self) {
        self.inner.changed().await;
    }
}
