//! A bank that pays as often as it is told to: it does not know idempotency keys, but its books can be looked up by them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prorch::prelude::*;
use prorch::repository::{Cause, MemoryRepository, Part, Position, Repository, Run, StepRecord, StoredRun};
use prorch::testing::ManualClock;
use prorch::{RunId, Status};
use serde::{Deserialize, Serialize};

/// How the first call of a payment goes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum First {
    Pays,
    /// It pays, and is asked again.
    PaysAndWaits,
    /// The bank is not reached.
    Errs,
    /// It pays, and then the line is cut.
    PaysAndErrs,
    PaysAndPanics,
    PaysAndHangs,
    PaysAndHandsOnTooMuch,
    /// The bank says no.
    Refused,
}

/// How it is looked up what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum LookUp {
    /// By the books: paid, or not.
    Tells,
    /// It is under way.
    Waits,
    Errs,
    /// It errs the first time.
    ErrsOnce,
    Refused,
    Cancels,
}

/// A payment, and what happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Payment {
    pub(crate) first: First,
    pub(crate) look_up: LookUp,
}

/// How often something was done for one key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// First calls that reached the bank.
    pub(crate) called: u32,
    pub(crate) paid: u32,
    /// How often the books were asked.
    pub(crate) looked_up: u32,
    /// How often it was asked, in the ordinary way, how it is going.
    pub(crate) continued: u32,
}

/// An entry with these counts.
pub(crate) const fn entry(called: u32, paid: u32, looked_up: u32, continued: u32) -> Entry {
    Entry { called, paid, looked_up, continued }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Bank(Arc<Mutex<BTreeMap<String, Entry>>>);

impl Bank {
    fn at<T>(&self, cx: &StepContext, work: impl FnOnce(&mut Entry) -> T) -> T {
        let mut books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        work(books.entry(cx.idempotency_key().to_string()).or_default())
    }

    /// All that was done, and nothing from here on.
    pub(crate) fn take(&self) -> BTreeMap<String, Entry> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What was done under the only key that there is.
    pub(crate) fn only(&self) -> Entry {
        let books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(books.len() < 2, "{books:?}");
        books.values().next().copied().unwrap_or_default()
    }

    pub(crate) async fn first(&self, first: First, cx: &StepContext) -> StepResult<String> {
        let pays = !matches!(first, First::Errs | First::Refused);
        self.at(cx, |entry| {
            entry.called += 1;
            entry.paid += u32::from(pays);
        });
        match first {
            First::Pays => finish("paid".to_owned()),
            First::PaysAndWaits => pending(),
            First::Errs => Err("the bank is not reached".into()),
            First::PaysAndErrs => Err("the line is cut".into()),
            First::PaysAndPanics => panic!("the line is on fire"),
            First::PaysAndHangs => std::future::pending().await,
            First::PaysAndHandsOnTooMuch => finish("paid".repeat(1_000)),
            First::Refused => fail("the bank says no"),
        }
    }

    pub(crate) fn look_up(&self, look_up: LookUp, cx: &StepContext) -> StepResult<String> {
        let entry = self.at(cx, |entry| {
            entry.looked_up += 1;
            *entry
        });
        match look_up {
            LookUp::Errs => Err("the books are closed".into()),
            LookUp::ErrsOnce if entry.looked_up == 1 => Err("the books are closed".into()),
            LookUp::Tells | LookUp::ErrsOnce if entry.paid > 0 => finish("paid, as the books say".to_owned()),
            LookUp::Tells | LookUp::ErrsOnce => start_again(),
            LookUp::Waits => pending(),
            LookUp::Refused => fail("the bank has said no"),
            LookUp::Cancels => cancel("the bank is closed"),
        }
    }

    pub(crate) fn go_on(&self, cx: &StepContext) -> StepResult<String> {
        self.at(cx, |entry| entry.continued += 1);
        finish("paid in the end".to_owned())
    }
}

/// A payment by the bank that can look it up.
#[step(at_most_once, retry(max_attempts = 3, backoff = "1s..1s"), timeout = "20s", poll = "10s")]
pub(crate) struct Pay;

impl Step for Pay {
    type Input = Payment;
    type Output = String;

    async fn on_start(&mut self, payment: &Payment, cx: &StepContext) -> StepResult<String> {
        cx.resource::<Bank>()?.first(payment.first, cx).await
    }

    async fn on_continue(&mut self, _: &Payment, cx: &StepContext) -> StepResult<String> {
        cx.resource::<Bank>()?.go_on(cx)
    }

    async fn on_uncertain(&mut self, payment: &Payment, cx: &StepContext) -> StepResult<String> {
        cx.resource::<Bank>()?.look_up(payment.look_up, cx)
    }
}

#[pipeline(steps = [Pay])]
pub(crate) struct Paying;

/// The same, where nobody can look it up.
#[step(at_most_once, retry(max_attempts = 3, backoff = "1s..1s"))]
pub(crate) async fn blind(payment: Payment, cx: &StepContext, bank: &Bank) -> StepResult<String> {
    bank.first(payment.first, cx).await
}

#[step]
pub(crate) async fn file(receipt: String) -> StepResult<String> {
    finish(format!("{receipt}, and filed"))
}

#[pipeline(steps = [blind, file])]
pub(crate) struct Blind;

/// An orchestrator over a store, a clock that a test moves, and the bank.
pub(crate) struct Bench<R> {
    pub(crate) orchestrator: Orchestrator,
    pub(crate) repository: R,
    pub(crate) clock: ManualClock,
    pub(crate) bank: Bank,
}

impl Bench<MemoryRepository> {
    pub(crate) fn new<P: Pipeline>() -> Self {
        Self::on::<P>(MemoryRepository::new())
    }
}

impl<R: Repository + Clone> Bench<R> {
    pub(crate) fn on<P: Pipeline>(repository: R) -> Self {
        let (clock, bank) = (ManualClock::default(), Bank::default());
        let config = OrchestratorConfig::default().max_payload(2_000);
        let builder = Orchestrator::builder(repository.clone()).clock(clock.clone()).config(config);
        let orchestrator = builder.resource(bank.clone()).pipeline::<P>().build().unwrap();
        Self { orchestrator, repository, clock, bank }
    }

    pub(crate) async fn start<P: Pipeline>(&self, input: P::Input) -> RunId {
        self.orchestrator.start::<P>(input).await.unwrap().id()
    }

    pub(crate) async fn pass(&self) {
        self.orchestrator.execute_pipelines().await.unwrap();
    }

    pub(crate) async fn stored(&self, id: RunId) -> StoredRun {
        let all = Part::Records { from: Position::default(), limit: 100 };
        self.repository.get(id, all).await.unwrap().unwrap()
    }

    pub(crate) async fn record(&self, id: RunId, stage: u32, item: u32) -> StepRecord {
        self.stored(id).await.records.remove(&Position { stage, item }).unwrap()
    }

    /// Makes passes until all runs have ended.
    pub(crate) async fn to_the_end(&self) {
        for _ in 0..100 {
            self.pass().await;
            let open = self.orchestrator.active_pipelines().await.unwrap().runs;
            let Some(next) = open.iter().filter_map(Run::claimable_at).min() else { return };
            self.clock.advance(next.saturating_since(self.clock_now()) + Duration::from_millis(1));
        }
        panic!("the runs do not end");
    }

    fn clock_now(&self) -> prorch::repository::Timestamp {
        prorch::testing::Clock::now(&self.clock)
    }

    /// How a run ended.
    pub(crate) async fn end(&self, id: RunId) -> (Status, Option<Cause>) {
        let state = self.stored(id).await.run.state;
        (state.status, state.cause)
    }
}
