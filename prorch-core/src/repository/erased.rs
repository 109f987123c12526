use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::{
    Answer, ClaimRequest, Filter, Health, NewRun, Outlook, Page, Part, Repository, RunId, Saved, StoreError,
    StoredRun, Turn, Update,
};

/// A future on the heap.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A [`Repository`] of some type, so that what uses one is not generic. Cheap to clone.
#[derive(Clone)]
pub struct AnyRepository(Arc<dyn Erased>);

impl AnyRepository {
    /// Forgets the type of `repository`.
    pub fn new(repository: impl Repository) -> Self {
        Self(Arc::new(repository))
    }

    /// See [`Repository::get`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn get(&self, id: RunId, part: Part) -> Result<Option<StoredRun>, StoreError> {
        self.0.get(id, part).await
    }

    /// See [`Repository::save`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn save(&self, runs: Vec<NewRun>) -> Result<Vec<Saved>, StoreError> {
        self.0.save(runs).await
    }

    /// See [`Repository::update`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn update(&self, updates: Arc<[Update]>) -> Result<Vec<Answer>, StoreError> {
        self.0.update(updates).await
    }

    /// See [`Repository::search`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn search(&self, filter: &Filter) -> Result<Page, StoreError> {
        self.0.search(filter).await
    }

    /// See [`Repository::turn`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn turn(
        &self,
        updates: Arc<[Update]>,
        claim: Option<ClaimRequest>,
    ) -> Result<Turn, StoreError> {
        self.0.turn(updates, claim).await
    }

    /// See [`Repository::outlook`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn outlook(&self, request: &ClaimRequest) -> Result<Outlook, StoreError> {
        self.0.outlook(request).await
    }

    /// See [`Repository::changed`].
    pub async fn changed(&self) {
        self.0.changed().await;
    }

    /// See [`Repository::health`].
    pub async fn health(&self) -> Health {
        self.0.health().await
    }
}

impl std::fmt::Debug for AnyRepository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AnyRepository").finish_non_exhaustive()
    }
}

/// The twin of [`Repository`] that can be a trait object.
trait Erased: Send + Sync {
    fn get(&self, id: RunId, part: Part) -> BoxFuture<'_, Result<Option<StoredRun>, StoreError>>;
    fn save(&self, runs: Vec<NewRun>) -> BoxFuture<'_, Result<Vec<Saved>, StoreError>>;
    fn update(&self, updates: Arc<[Update]>) -> BoxFuture<'_, Result<Vec<Answer>, StoreError>>;
    fn search<'a>(&'a self, filter: &'a Filter) -> BoxFuture<'a, Result<Page, StoreError>>;
    fn turn(
        &self,
        updates: Arc<[Update]>,
        claim: Option<ClaimRequest>,
    ) -> BoxFuture<'_, Result<Turn, StoreError>>;
    fn outlook<'a>(&'a self, request: &'a ClaimRequest) -> BoxFuture<'a, Result<Outlook, StoreError>>;
    fn changed(&self) -> BoxFuture<'_, ()>;
    fn health(&self) -> BoxFuture<'_, Health>;
}

impl<R: Repository> Erased for R {
    fn get(&self, id: RunId, part: Part) -> BoxFuture<'_, Result<Option<StoredRun>, StoreError>> {
        Box::pin(Repository::get(self, id, part))
    }

    fn save(&self, runs: Vec<NewRun>) -> BoxFuture<'_, Result<Vec<Saved>, StoreError>> {
        Box::pin(Repository::save(self, runs))
    }

    fn update(&self, updates: Arc<[Update]>) -> BoxFuture<'_, Result<Vec<Answer>, StoreError>> {
        Box::pin(Repository::update(self, updates))
    }

    fn search<'a>(&'a self, filter: &'a Filter) -> BoxFuture<'a, Result<Page, StoreError>> {
        Box::pin(Repository::search(self, filter))
    }

    fn turn(
        &self,
        updates: Arc<[Update]>,
        claim: Option<ClaimRequest>,
    ) -> BoxFuture<'_, Result<Turn, StoreError>> {
        Box::pin(Repository::turn(self, updates, claim))
    }

    fn outlook<'a>(&'a self, request: &'a ClaimRequest) -> BoxFuture<'a, Result<Outlook, StoreError>> {
        Box::pin(Repository::outlook(self, request))
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        Box::pin(Repository::changed(self))
    }

    fn health(&self) -> BoxFuture<'_, Health> {
        Box::pin(Repository::health(self))
    }
}
