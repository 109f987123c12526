use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use prorch_core::repository::{
    Answer, Claim, ClaimRequest, Clocks, Filter, Health, NewRun, Page, Part, Repository, RunId, Saved,
    StoreError, StoreErrorKind, StoredRun, Timestamp, Turn, Update,
};

/// What happens to a worker, or to its store, at a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The worker dies before the write took effect.
    DiesBefore,
    /// The worker dies in a turn, after its updates took effect and before its claim did. Says nothing to other writes.
    DiesBetween,
    /// The worker dies after the write took effect and before it was answered.
    DiesAfter,
    /// The store does not take the write, for a reason that passes.
    Refused,
    /// The write took effect, and its answer is lost.
    AnswerLost,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::DiesBefore, Self::DiesBetween, Self::DiesAfter, Self::Refused, Self::AnswerLost];
}

/// A repository at one of whose writes a [`Fault`] happens. When the worker dies of it, nothing more comes through
/// until another one takes its place. Clones are one repository.
#[derive(Debug)]
pub struct FaultyRepository<R> {
    inner: Arc<R>,
    fuse: Arc<Fuse>,
}

#[derive(Debug)]
struct Fuse {
    fault: Fault,
    at: u64,
    writes: AtomicU64,
    dead: AtomicBool,
    happened: AtomicBool,
    lost: Mutex<Vec<Update>>,
}

impl<R> Clone for FaultyRepository<R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), fuse: self.fuse.clone() }
    }
}

impl<R: Repository> FaultyRepository<R> {
    /// `inner`, with this fault at this write, counted from 0.
    #[must_use]
    pub fn new(inner: Arc<R>, fault: Fault, at: u64) -> Self {
        let fuse = Fuse {
            fault,
            at,
            writes: AtomicU64::new(0),
            dead: AtomicBool::new(false),
            happened: AtomicBool::new(false),
            lost: Mutex::default(),
        };
        Self { inner, fuse: Arc::new(fuse) }
    }

    /// Whether the worker died and no other took its place.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.fuse.dead.load(Ordering::SeqCst)
    }

    /// Lets another worker use the store.
    pub fn revive(&self) {
        self.fuse.dead.store(false, Ordering::SeqCst);
    }

    /// How many writes there were.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.fuse.writes.load(Ordering::SeqCst)
    }

    /// Whether the fault happened, and the updates that were lost with it.
    #[must_use]
    pub fn outcome(&self) -> (bool, Vec<Update>) {
        let lost = self.fuse.lost.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (self.fuse.happened.load(Ordering::SeqCst), lost)
    }

    fn alive(&self) -> Result<(), StoreError> {
        if self.is_dead() { Err(dead()) } else { Ok(()) }
    }

    /// Does a write, unless the fault happens at it. `between` is what of the write takes effect when the worker dies in
    /// the middle of it, where there is such a middle.
    async fn write<T>(
        &self,
        updates: &[Update],
        whole: impl Future<Output = Result<T, StoreError>>,
        between: Option<impl Future<Output = Result<T, StoreError>>>,
    ) -> Result<T, StoreError> {
        self.alive()?;
        let here = self.fuse.writes.fetch_add(1, Ordering::SeqCst) == self.fuse.at;
        if !here || self.fuse.fault == Fault::DiesBetween && between.is_none() {
            return whole.await;
        }
        self.fuse.happened.store(true, Ordering::SeqCst);
        match (self.fuse.fault, between) {
            (Fault::DiesBefore, _) => {
                let mut lost = self.fuse.lost.lock().unwrap_or_else(PoisonError::into_inner);
                lost.extend_from_slice(updates);
            }
            (Fault::DiesBetween, Some(between)) => drop(between.await?),
            (Fault::Refused, _) => {
                return Err(StoreError::new(StoreErrorKind::Transient, "the store has to breathe"));
            }
            (Fault::AnswerLost, _) => {
                drop(whole.await?);
                return Err(StoreError::new(StoreErrorKind::Ambiguous, "the answer got lost"));
            }
            (Fault::DiesAfter | Fault::DiesBetween, _) => drop(whole.await?),
        }
        self.fuse.dead.store(true, Ordering::SeqCst);
        Err(dead())
    }
}

/// What a worker that died would hear, if it could: it is the one error that no engine goes on after.
fn dead() -> StoreError {
    StoreError::new(StoreErrorKind::Broken, "this worker died")
}

/// No middle.
fn none<T>() -> Option<std::future::Ready<Result<T, StoreError>>> {
    None
}

impl<R: Repository> Repository for FaultyRepository<R> {
    async fn get(&self, id: RunId, part: Part) -> Result<Option<StoredRun>, StoreError> {
        self.alive()?;
        self.inner.get(id, part).await
    }

    async fn save(&self, runs: Vec<NewRun>) -> Result<Vec<Saved>, StoreError> {
        self.write(&[], self.inner.save(runs), none()).await
    }

    async fn update(&self, updates: Arc<[Update]>) -> Result<Vec<Answer>, StoreError> {
        self.write(&updates, self.inner.update(updates.clone()), none()).await
    }

    async fn search(&self, filter: &Filter) -> Result<Page, StoreError> {
        self.alive()?;
        self.inner.search(filter).await
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claim>, StoreError> {
        self.write(&[], self.inner.claim(request), none()).await
    }

    async fn turn(&self, updates: Arc<[Update]>, claim: Option<ClaimRequest>) -> Result<Turn, StoreError> {
        let has_middle = claim.is_some() && !updates.is_empty();
        let between = has_middle.then(|| self.inner.turn(updates.clone(), None));
        self.write(&updates, self.inner.turn(updates.clone(), claim), between).await
    }

    async fn next_due(&self, request: &ClaimRequest) -> Result<Option<Timestamp>, StoreError> {
        self.alive()?;
        self.inner.next_due(request).await
    }

    async fn clocks(&self, request: &ClaimRequest) -> Result<Clocks, StoreError> {
        self.alive()?;
        self.inner.clocks(request).await
    }

    async fn changed(&self) {
        self.inner.changed().await;
    }

    async fn health(&self) -> Health {
        self.inner.health().await
    }
}
