use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prorch_core::repository::{
    Answer, ClaimRequest, Filter, Health, NewRun, Outlook, Page, Part, Repository, RunId, Saved, StoreError,
    StoreErrorKind, StoredRun, Turn, Update,
};

use super::Fault;
use super::plan::{Odds, Plan};
use super::write::Write;

/// How long a slow call takes longer.
const SLOW: Duration = Duration::from_millis(5);

/// A repository to whose calls a [`Fault`] happens: at one write, or now and then. When the worker dies of it, nothing
/// more comes through until another one takes its place. Clones are one repository.
#[derive(Debug)]
pub struct FaultyRepository<R> {
    inner: Arc<R>,
    fuse: Arc<Fuse>,
}

#[derive(Debug)]
struct Fuse {
    plan: Mutex<Plan>,
    calls: AtomicU64,
    writes: AtomicU64,
    dead: AtomicBool,
    happened: Mutex<BTreeMap<Fault, u64>>,
    /// Writes that are still under way, each with the number of the call at which it arrives.
    late: Mutex<Vec<(u64, Write)>>,
}

impl<R> Clone for FaultyRepository<R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), fuse: self.fuse.clone() }
    }
}

impl<R: Repository> FaultyRepository<R> {
    /// `inner`, with this fault at this write, counted from 0.
    #[must_use]
    pub fn at(inner: Arc<R>, fault: Fault, write: u64) -> Self {
        Self::new(inner, Plan::At(fault, write))
    }

    /// `inner`, with faults at any call.
    #[must_use]
    pub fn with_odds(inner: Arc<R>, odds: Odds) -> Self {
        let dice = fastrand::Rng::with_seed(odds.seed);
        Self::new(inner, Plan::Odds(odds, dice))
    }

    /// `inner`, with the faults that it is told of. What is late arrives when it is told to [settle](Self::settle).
    #[must_use]
    pub fn told(inner: Arc<R>) -> Self {
        Self::new(inner, Plan::Told(None, false))
    }

    /// Lets this happen to the next write, in place of all else.
    pub fn strike_next_write(&self, fault: Fault) {
        *lock(&self.fuse.plan) = Plan::Told(Some(fault), false);
    }

    /// Lets the next read be refused, in place of all else.
    pub fn refuse_next_read(&self) {
        *lock(&self.fuse.plan) = Plan::Told(None, true);
    }

    /// Lets nothing more happen.
    pub fn heal(&self) {
        *lock(&self.fuse.plan) = Plan::Told(None, false);
    }

    /// Lets the worker die, whatever it does.
    pub fn kill(&self) {
        self.fuse.dead.store(true, Ordering::SeqCst);
    }

    fn new(inner: Arc<R>, plan: Plan) -> Self {
        let fuse = Fuse {
            plan: Mutex::new(plan),
            calls: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            dead: AtomicBool::new(false),
            happened: Mutex::default(),
            late: Mutex::default(),
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

    /// How many calls there were, reads and writes.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.fuse.calls.load(Ordering::SeqCst)
    }

    /// How many writes there were.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.fuse.writes.load(Ordering::SeqCst)
    }

    /// How often which fault happened.
    #[must_use]
    pub fn happened(&self) -> BTreeMap<Fault, u64> {
        lock(&self.fuse.happened).clone()
    }

    /// Lets every write arrive that is still under way.
    pub async fn settle(&self) {
        self.arrive(u64::MAX).await;
    }

    /// Begins a call; what is late arrives before it.
    async fn begin(&self) -> Result<(), StoreError> {
        let number = self.fuse.calls.fetch_add(1, Ordering::SeqCst);
        self.arrive(number).await;
        if self.is_dead() { Err(dead()) } else { Ok(()) }
    }

    async fn arrive(&self, number: u64) {
        let arrived: Vec<_> = lock(&self.fuse.late).extract_if(.., |(at, _)| *at <= number).collect();
        for (_, write) in arrived {
            write.arrive(&*self.inner).await;
        }
    }

    /// What happens to a write.
    async fn strike(&self, write: &Write) -> Result<Option<Fault>, StoreError> {
        self.begin().await?;
        let number = self.fuse.writes.fetch_add(1, Ordering::SeqCst);
        let fault = lock(&self.fuse.plan).at_write(number, write);
        self.note(fault);
        Ok(fault)
    }

    fn note(&self, fault: Option<Fault>) {
        if let Some(fault) = fault {
            *lock(&self.fuse.happened).entry(fault).or_default() += 1;
        }
    }

    async fn read<T>(&self, read: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        self.begin().await?;
        let fault = lock(&self.fuse.plan).at_read();
        self.note(fault);
        match fault {
            None => read.await,
            Some(Fault::Slow) => slowly(read).await,
            Some(_) => Err(refused()),
        }
    }

    async fn write<T>(
        &self,
        write: Write,
        whole: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let fault = self.strike(&write).await?;
        self.suffer(fault, write, whole).await
    }

    async fn suffer<T>(
        &self,
        fault: Option<Fault>,
        write: Write,
        whole: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match fault {
            None | Some(Fault::ClaimRefused) => return whole.await,
            Some(Fault::Slow) => return slowly(whole).await,
            Some(Fault::Refused) => return Err(refused()),
            Some(Fault::NeverArrived) => return Err(unknown()),
            Some(Fault::AnswerLost) => {
                drop(whole.await?);
                return Err(unknown());
            }
            Some(Fault::Late) => {
                let at = self.calls() + lock(&self.fuse.plan).lateness();
                lock(&self.fuse.late).push((at, write));
                return Err(unknown());
            }
            Some(Fault::DiesBefore) => {}
            Some(Fault::DiesBetween) => {
                if let Some(half) = write.first_half() {
                    half.arrive(&*self.inner).await;
                }
            }
            Some(Fault::DiesAfter) => drop(whole.await?),
        }
        self.fuse.dead.store(true, Ordering::SeqCst);
        Err(dead())
    }
}

async fn slowly<T>(call: impl Future<Output = T>) -> T {
    let answer = call.await;
    tokio::time::sleep(SLOW).await;
    answer
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a worker that died would hear, if it could: it is the one error that no engine goes on after.
fn dead() -> StoreError {
    StoreError::new(StoreErrorKind::Broken, "this worker died")
}

fn refused() -> StoreError {
    StoreError::new(StoreErrorKind::Transient, "the store has to breathe")
}

fn unknown() -> StoreError {
    StoreError::new(StoreErrorKind::Ambiguous, "the answer got lost")
}

impl<R: Repository> Repository for FaultyRepository<R> {
    async fn get(&self, id: RunId, part: Part) -> Result<Option<StoredRun>, StoreError> {
        self.read(self.inner.get(id, part)).await
    }

    async fn save(&self, runs: Vec<NewRun>) -> Result<Vec<Saved>, StoreError> {
        self.write(Write::Save(runs.clone()), self.inner.save(runs)).await
    }

    async fn update(&self, updates: Arc<[Update]>) -> Result<Vec<Answer>, StoreError> {
        self.write(Write::Update(updates.clone()), self.inner.update(updates)).await
    }

    async fn search(&self, filter: &Filter) -> Result<Page, StoreError> {
        self.read(self.inner.search(filter)).await
    }

    async fn turn(&self, updates: Arc<[Update]>, claim: Option<ClaimRequest>) -> Result<Turn, StoreError> {
        let write = Write::Turn(updates.clone(), claim.clone());
        let fault = self.strike(&write).await?;
        if fault == Some(Fault::ClaimRefused) {
            let turn = self.inner.turn(updates, None).await?;
            return Ok(Turn { claims: Err(refused()), ..turn });
        }
        self.suffer(fault, write, self.inner.turn(updates, claim)).await
    }

    async fn outlook(&self, request: &ClaimRequest) -> Result<Outlook, StoreError> {
        self.read(self.inner.outlook(request)).await
    }

    async fn health(&self) -> Health {
        self.inner.health().await
    }

    async fn changed(&self) {
        self.inner.changed().await;
    }
}
