//! The store under test as everybody has it: whoever asks waits until it has answered, and a second one, in memory, is
//! asked the same.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use prorch_core::repository::{
    Answer, Claim, ClaimRequest, Filter, Lease, Locator, MemoryRepository, NewRun, Outlook, Page, Part,
    Repository, Run, RunId, Saved, StoreError, StoredRun, Turn, Update,
};
use tokio::sync::Notify;

use super::journal::Journal;
use super::pipelines::most_calls;
use super::scene::Scene;

/// See the module. Nothing but the order of the calls decides what is answered, so that all is the same again.
pub(super) struct Store<R> {
    inner: R,
    twin: MemoryRepository,
    scene: Arc<Scene>,
    changed: Notify,
    /// How often it was asked since time passed last.
    asked: AtomicU32,
}

/// So often the store is asked at most while no time passes.
const BUSY: u32 = 3_000;

impl<R: Repository> Store<R> {
    pub(super) fn new(inner: R, scene: Arc<Scene>) -> Self {
        Self { inner, twin: MemoryRepository::new(), scene, changed: Notify::new(), asked: AtomicU32::new(0) }
    }

    /// A run with its records and the messages that nobody took.
    pub(super) fn whole(&self, run: RunId) -> StoredRun {
        self.read(&self.inner, run)
    }

    /// The same, as the second store has it.
    pub(super) fn twin(&self, run: RunId) -> StoredRun {
        self.read(&self.twin, run)
    }

    fn read(&self, store: &impl Repository, run: RunId) -> StoredRun {
        let part = |part| {
            let stored = wait(store.get(run, part)).expect("the store can be read");
            stored.expect("a run that was started is there")
        };
        let all = part(Part::Records { from: Default::default(), limit: 1_000 });
        StoredRun { inbox: part(Part::Work).inbox, locator: Locator::default(), ..all }
    }

    /// All runs.
    pub(super) fn runs(&self) -> Page {
        wait(self.inner.search(&Filter::all().limit(1_000))).expect("the store can be read")
    }

    /// The two stores gave one answer.
    fn same<T: PartialEq + std::fmt::Debug>(&self, asked: &str, answer: &T, twin: &T) {
        if answer != twin {
            self.scene
                .wrong(format!("P12: {asked} is answered with {answer:?}, and in memory with {twin:?}"));
        }
    }

    /// Time passes.
    pub(super) fn rested(&self) {
        self.asked.store(0, Ordering::Relaxed);
    }

    /// Somebody asks. Who asks without end gets no answer, so that the test comes to one.
    async fn is_asked(&self) {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        if asked == BUSY {
            self.scene.wrong(format!(
                "P4: the store is asked {BUSY} times while no time passes: it never comes to rest"
            ));
        }
        if asked >= BUSY {
            std::future::pending::<()>().await;
        }
    }

    /// The second store claims the same runs. Which comes first of those that are due at one time a store is free to
    /// say, and so also which of those that nobody else may be executed beside.
    fn claims_the_same(&self, request: ClaimRequest, claims: &[Claim]) -> Result<(), StoreError> {
        let all = wait(self.twin.search(&Filter::all().limit(1_000)))?;
        if all.runs.iter().any(Run::is_suspect) {
            claims.iter().try_for_each(|claim| self.claims_this(&request, &claim.stored))?;
            return self.parks_the_same(&request);
        }
        let sorted = |claims: &[Claim]| {
            let without_place =
                |claim: &Claim| StoredRun { locator: Locator::default(), ..claim.stored.clone() };
            let mut claims: Vec<StoredRun> = claims.iter().map(without_place).collect();
            claims.sort_by_key(|stored| stored.run.id);
            claims
        };
        let twin = wait(self.twin.turn([].into(), Some(request)))?.claims?;
        self.same("a claim", &sorted(claims), &sorted(&twin));
        Ok(())
    }

    /// The second store gives this run too.
    fn claims_this(&self, request: &ClaimRequest, claimed: &StoredRun) -> Result<(), StoreError> {
        let id = claimed.run.id;
        let run = wait(self.twin.get(id, Part::Row))?.expect("a run that was started is there").run;
        let limits = request.limits.get(&run.definition.pipeline);
        let lease = Lease::new(request.holder, request.now, request.lease);
        let claim = run.claim_within(limits, lease, request.now);
        // A lease may be over for another reason than its time.
        let claim =
            Update { at: run.lease.map_or(request.now, |lease| request.now.max(lease.until)), ..claim };
        wait(self.twin.update([claim].into()))?;
        let stored = StoredRun { locator: Locator::default(), ..claimed.clone() };
        self.same("a claim", &Some(stored), &wait(self.twin.get(id, Part::Work))?);
        Ok(())
    }

    /// The runs that met a full limit do so in the second store too.
    fn parks_the_same(&self, request: &ClaimRequest) -> Result<(), StoreError> {
        for run in wait(self.inner.search(&Filter::active().limit(1_000)))?.runs {
            let twin = wait(self.twin.get(run.id, Part::Row))?.expect("a run that was started is there").run;
            if run.permits.blocked.is_some() && twin.permits.blocked.is_none() {
                let lease = Lease::new(request.holder, request.now, request.lease);
                let limits = request.limits.get(&twin.definition.pipeline);
                let claim = twin.claim_within(limits, lease, request.now);
                let at = twin.lease.map_or(request.now, |lease| request.now.max(lease.until));
                let answer = wait(self.twin.update([Update { at, ..claim }].into()))?;
                self.same("a claim that is to wait", &answer, &vec![Answer::Full]);
            }
        }
        Ok(())
    }

    /// Of each pipeline that is limited no more runs count than may, and when one waits, so many do.
    pub(super) fn keeps_its_limits(&self) {
        let active =
            wait(self.inner.search(&Filter::active().limit(1_000))).expect("the store can be read").runs;
        let names: BTreeSet<&str> = active.iter().map(|run| &*run.definition.pipeline).collect();
        for name in names {
            let Some(most) = most_calls(name) else { continue };
            let of_it = || active.iter().filter(|run| run.definition.pipeline == *name);
            let counted = of_it().filter(|run| run.permits.calls.is_some()).count();
            let held = of_it().filter(|run| run.lease.is_some()).count();
            let waits = of_it().any(|run| run.permits.blocked.is_some() && !run.state.paused);
            if counted > most as usize || held > counted || waits && counted < most as usize {
                self.scene.wrong(format!(
                    "limits: {held} of `{name}` are held and {counted} count, of {most}; others wait: {waits}"
                ));
            }
        }
    }

    fn journal<T>(&self, note: impl FnOnce(&mut Journal) -> T) -> T {
        self.scene.journal(note)
    }

    fn saw(&self, updates: &[Update], answers: &[Answer]) {
        self.journal(|journal| {
            updates.iter().zip(answers).for_each(|(update, answer)| journal.saw(update, answer));
        });
        for update in updates.iter().filter(|update| self.scene.is_mended(update.run)) {
            update.starts.iter().for_each(|new| self.scene.mend(new.id));
        }
        if updates.iter().any(Update::may_wake) {
            self.changed.notify_waiters();
        }
    }
}

impl<R: Repository> Repository for Store<R> {
    async fn get(&self, id: RunId, part: Part) -> Result<Option<StoredRun>, StoreError> {
        self.is_asked().await;
        wait(self.inner.get(id, part))
    }

    async fn save(&self, runs: Vec<NewRun>) -> Result<Vec<Saved>, StoreError> {
        let saved = wait(self.inner.save(runs.clone()))?;
        self.same("a start", &saved, &wait(self.twin.save(runs.clone()))?);
        self.journal(|journal| {
            runs.iter().zip(&saved).for_each(|(run, saved)| journal.started(run, *saved));
        });
        self.changed.notify_waiters();
        Ok(saved)
    }

    async fn update(&self, updates: Arc<[Update]>) -> Result<Vec<Answer>, StoreError> {
        self.is_asked().await;
        let answers = wait(self.inner.update(updates.clone()))?;
        self.same("an update", &answers, &wait(self.twin.update(updates.clone()))?);
        self.saw(&updates, &answers);
        Ok(answers)
    }

    async fn search(&self, filter: &Filter) -> Result<Page, StoreError> {
        wait(self.inner.search(filter))
    }

    async fn turn(&self, updates: Arc<[Update]>, claim: Option<ClaimRequest>) -> Result<Turn, StoreError> {
        self.is_asked().await;
        let turn = wait(self.inner.turn(updates.clone(), claim.clone()))?;
        self.same("an update", &turn.answers, &wait(self.twin.update(updates.clone()))?);
        self.saw(&updates, &turn.answers);
        let claims = turn.claims?;
        if let Some(request) = claim {
            self.claims_the_same(request, &claims)?;
        }
        self.journal(|journal| claims.iter().for_each(|claim| journal.claimed(claim)));
        Ok(Turn { answers: turn.answers, claims: Ok(claims) })
    }

    async fn outlook(&self, request: &ClaimRequest) -> Result<Outlook, StoreError> {
        self.is_asked().await;
        wait(self.inner.outlook(request))
    }

    async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// Waits for an answer, with the whole thread: whatever the store does on other threads, here nothing else happens.
fn wait<T>(answer: impl Future<Output = T>) -> T {
    // A task of the runtime may ask only so much before it should let others go on, which here they can't.
    let mut answer = pin!(tokio::task::unconstrained(answer));
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        match answer.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(answer) => return answer,
            Poll::Pending => std::thread::park(),
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
