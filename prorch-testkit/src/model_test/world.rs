//! Workers, a store, who starts runs and tells them things; and time.

use std::sync::Arc;
use std::time::Duration;

use prorch_core::clock::{Clock, ManualClock};
use prorch_core::repository::{Repository, RunId};

use super::action::{Action, WORKERS};
use super::oracle::Told;
use super::pipelines::Start;
use super::scene::Scene;
use super::shapes::Shape;
use super::step::Handed;
use super::store::Store;
use super::worker::{Participant, Worker};
use crate::faults::Fault;

/// See the module.
pub(super) struct World<R> {
    pub(super) scene: Arc<Scene>,
    pub(super) store: Arc<Store<R>>,
    pub(super) runs: Vec<(RunId, Told)>,
    pub(super) workers: [Option<Worker<R>>; WORKERS],
    /// Those that died or ended: what they wrote may still be under way.
    gone: Vec<Participant<R>>,
    pub(super) teller: Participant<R>,
    clock: ManualClock,
    /// How many signals were sent: what each says.
    pub(super) signals: u64,
}

/// In such steps time passes: a lease is renewed in time.
const STEP: Duration = Duration::from_secs(5);
/// How long nothing but what is under way goes on, by a time that passes when all are idle: long enough that what got
/// no answer is sent again a few times.
const SETTLED: Duration = Duration::from_millis(500);
/// What takes so long, by the same time, has no end.
const ENDLESS: Duration = Duration::from_secs(100_000);

impl<R: Repository> World<R> {
    pub(super) fn new(repository: R) -> Self {
        let scene = Arc::new(Scene::default());
        let store = Arc::new(Store::new(repository, scene.clone()));
        let clock = ManualClock::default();
        scene.journal(|journal| journal.now = clock.now());
        let teller = Participant::new(&store, &scene, clock.now(), 0);
        let workers = std::array::from_fn(|_| None);
        Self { scene, store, runs: Vec::new(), workers, gone: Vec::new(), teller, clock, signals: 0 }
    }

    /// Lets something happen, and all that follows from it without time.
    pub(super) async fn act(&mut self, action: Action) {
        self.store.rested();
        if tokio::time::timeout(ENDLESS, self.happen(action)).await.is_err() {
            self.scene.wrong(format!("P4: {action:?} has no end"));
        }
        self.settle().await;
    }

    async fn happen(&mut self, action: Action) {
        match action {
            Action::Start(start) => self.start(start).await,
            Action::Signal(run, name) => self.signal(run, name).await,
            Action::Cancel(run) => self.cancel(run).await,
            Action::Pause(run) => self.pause(run).await,
            Action::Resume(run) => self.resume(run).await,
            Action::Retry(run, mend) => self.retry(run, mend).await,
            Action::Release(run) => {
                if let Some(run) = self.nth(run) {
                    self.scene.release(self.runs[run].0);
                }
            }
            Action::Boot(worker, wrong_by) => self.boot(worker, wrong_by),
            Action::Stop(worker) => self.workers[worker].iter().for_each(Worker::stop),
            Action::Crash(worker) => self.workers[worker].iter_mut().for_each(Worker::kill),
            Action::Freeze(worker, gate) => {
                self.workers[worker].iter_mut().for_each(|worker| worker.own.freeze(gate));
            }
            Action::Thaw(worker) => self.workers[worker].iter_mut().for_each(|worker| worker.own.thaw()),
            Action::Fault(who, fault) => {
                // Who tells the runs things does not die: it is this test.
                let fault = if who == WORKERS && fault.kills() { Fault::Late } else { fault };
                self.participant(who).into_iter().for_each(|who| who.faults().strike_next_write(fault));
            }
            Action::RefusedRead(who) => {
                self.participant(who).into_iter().for_each(|who| who.faults().refuse_next_read());
            }
            Action::Arrive => self.arrive().await,
            Action::Pass(time) => self.pass(time).await,
            Action::Jump(time) => self.advance(time),
        }
    }

    fn participant(&self, who: usize) -> Option<&Participant<R>> {
        match self.workers.get(who) {
            Some(worker) => worker.as_ref().map(|worker| &worker.own),
            None => Some(&self.teller),
        }
    }

    pub(super) fn nth(&self, run: usize) -> Option<usize> {
        run.checked_rem(self.runs.len())
    }

    async fn start(&mut self, start: Start) {
        // So that the ids sort in the order of the starts.
        self.advance(Duration::from_secs(1));
        let started = start.by(&self.teller.orchestrator).await;
        let (id, is_new) = started.expect("a start waits out what passes");
        let known = self.runs.iter().any(|(run, _)| *run == id);
        if known == is_new {
            self.scene.wrong(format!("P10: run {id} is said to be new: {is_new}"));
        }
        if is_new {
            self.runs.push((id, Told::nothing(start.shape, Handed::of(start.seed))));
        }
    }

    fn boot(&mut self, worker: usize, wrong_by: i64) {
        if self.workers[worker].is_some() {
            return;
        }
        let wrong = Duration::from_secs(wrong_by.unsigned_abs());
        let right = self.clock.now();
        let now = if wrong_by < 0 { right.saturating_sub(wrong) } else { right + wrong };
        let seed = 1 + (self.gone.len() * WORKERS + worker) as u64;
        let own = Participant::new(&self.store, &self.scene, now, seed << 32);
        self.workers[worker] = Some(Worker::begin(own));
    }

    pub(super) async fn arrive(&self) {
        let working = self.workers.iter().flatten().map(|worker| &worker.own);
        for participant in working.chain(&self.gone).chain([&self.teller]) {
            participant.faults().settle().await;
        }
    }

    pub(super) async fn pass(&mut self, time: Duration) {
        let mut left = time;
        while !left.is_zero() {
            self.advance(left.min(STEP));
            self.settle().await;
            left = left.saturating_sub(STEP);
        }
    }

    fn advance(&mut self, by: Duration) {
        self.clock.advance(by);
        self.scene.journal(|journal| journal.now = self.clock.now());
        self.teller.advance(by);
        self.workers.iter_mut().flatten().for_each(|worker| worker.own.advance(by));
    }

    /// Lets everything go on until nothing does, and sees which workers ended, and which runs were started by others.
    pub(super) async fn settle(&mut self) {
        self.store.rested();
        tokio::time::sleep(SETTLED).await;
        for new in self.scene.journal(|journal| std::mem::take(&mut journal.born)) {
            let (shape, input) = (Shape::named(&new.definition.pipeline), serde_json::from_str(&new.input));
            let (Some(shape), Ok(input)) = (shape, input) else {
                self.scene.wrong(format!("P10: a run is started that no pipeline has: {new:?}"));
                continue;
            };
            let told = Told { mended: self.scene.is_mended(new.id), ..Told::nothing(shape, input) };
            self.runs.push((new.id, told));
        }
        for place in &mut self.workers {
            if let Some(worker) = place.take_if(|worker| worker.has_ended()) {
                let (ended, own) = worker.end().await;
                self.gone.push(own);
                ended.into_iter().for_each(|why| self.scene.wrong(format!("P13: a worker ended: {why}")));
            }
        }
    }
}
