//! What a program tells a run from outside, and how it starts one: that it takes effect, and that what says nothing to a
//! run changes nothing.

#![cfg(all(feature = "macros", feature = "sqlite"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use prorch::prelude::*;
use prorch::repository::{
    Filter, Mail, MemoryRepository, Message, MessageId, Repository, StoredRun, Text, Update,
};
use prorch::testing::{Clock, ManualClock};
use prorch::{Error, RunHandle, Status, Told};
use prorch_testkit::faults::{Fault, FaultyRepository};
use prorch_testkit::spy::{self, SpyRepository};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

/// What a run is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Way {
    Finishes,
    Fails,
    Waits,
    /// The first call waits until it is let go.
    Hangs,
    /// The first call waits until it is told of a cancel, and tidies up.
    Tidies,
}

/// What the test sees of the calls.
#[derive(Clone, Default)]
struct Seen {
    calls: Arc<Mutex<Vec<String>>>,
    begun: Arc<Notify>,
    go: Arc<Notify>,
}

impl Seen {
    fn call(&self, what: impl Into<String>) {
        self.calls.lock().unwrap().push(what.into());
    }

    fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }
}

#[step]
struct Work;

impl Step for Work {
    type Input = Way;
    type Output = u64;

    async fn on_start(&mut self, way: &Way, cx: &StepContext) -> StepResult<u64> {
        let seen = cx.resource::<Seen>()?;
        seen.call("work");
        seen.begun.notify_one();
        match way {
            Way::Finishes => {}
            Way::Fails => return fail("it can't be done"),
            Way::Waits => return wait_for_signal("go", None),
            Way::Hangs => seen.go.notified().await,
            Way::Tidies => {
                assert!(!cx.is_cancelled());
                cx.cancelled().await;
                assert!(cx.is_cancelled());
                seen.call("tidied up");
            }
        }
        finish(1)
    }

    async fn on_continue(&mut self, _: &Way, cx: &StepContext) -> StepResult<u64> {
        finish(cx.signal("go")?.unwrap_or_default())
    }
}

#[step]
async fn after(number: u64, seen: &Seen) -> StepResult<u64> {
    seen.call("after");
    finish(number)
}

#[pipeline(steps = [Work, after])]
struct Job;

struct Bench {
    store: MemoryRepository,
    orchestrator: Orchestrator,
    clock: ManualClock,
    seen: Seen,
}

impl Bench {
    fn new() -> Self {
        let store = MemoryRepository::new();
        Self::on(store.clone(), store)
    }

    /// An orchestrator on this repository, which keeps its runs in the store.
    fn on(repository: impl Repository, store: MemoryRepository) -> Self {
        let (clock, seen) = (ManualClock::default(), Seen::default());
        let builder = Orchestrator::builder(repository).clock(clock.clone());
        let orchestrator = builder.resource(seen.clone()).pipeline::<Job>().build().unwrap();
        Self { store, orchestrator, clock, seen }
    }

    async fn start(&self, way: Way) -> RunHandle<Job> {
        self.orchestrator.start::<Job>(way).await.unwrap()
    }

    async fn pass(&self) {
        self.orchestrator.execute_pipelines().await.unwrap();
    }

    async fn stored(&self, run: &RunHandle<Job>) -> StoredRun {
        self.orchestrator.get(run.id()).await.unwrap().unwrap()
    }

    /// A run of each way to end, and how it is called.
    async fn ended(&self) -> Vec<(RunHandle<Job>, Status)> {
        let mut runs = Vec::new();
        for (way, status) in
            [(Way::Finishes, Status::Finished), (Way::Fails, Status::Failed), (Way::Waits, Status::Cancelled)]
        {
            let run = self.start(way).await;
            self.pass().await;
            if status == Status::Cancelled {
                self.orchestrator.cancel(run.id(), "enough").await.unwrap();
            }
            assert_eq!(run.status().await.unwrap(), status);
            runs.push((run, status));
        }
        runs
    }

    /// Begins a pass, and returns when a call is under way. The pass's clock is moved until it has ended.
    async fn in_a_call(&self, meanwhile: impl AsyncFnOnce()) {
        let worker = self.orchestrator.clone();
        let pass = tokio::spawn(async move { worker.execute_pipelines().await });
        self.seen.begun.notified().await;
        meanwhile().await;
        while !pass.is_finished() {
            self.clock.advance(Duration::from_secs(1));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        pass.await.unwrap().unwrap();
    }
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(answer: Result<T, Error>, why: &str) {
    let error = answer.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }) && error.to_string().contains(why), "{error}");
}

#[tokio::test]
async fn a_cancel_trips_the_token_of_the_call_under_way_which_may_tidy_up() {
    let bench = Bench::new();
    let run = bench.start(Way::Tidies).await;
    let cancel = async || {
        assert_eq!(bench.orchestrator.cancel(run.id(), "enough").await.unwrap(), Told::Delivered);
    };
    bench.in_a_call(cancel).await;
    assert_eq!(bench.seen.calls(), ["work", "tidied up"], "no further call is made");
    let stored = bench.stored(&run).await;
    assert_eq!(stored.run.status(), Status::Cancelled);
    let work = stored.records.values().next().unwrap();
    assert_eq!(work.status, Status::Finished, "what it answered counts");
}

#[tokio::test]
async fn what_is_told_to_a_run_that_ended_is_refused_and_changes_nothing() {
    let bench = Bench::new();
    for (run, status) in bench.ended().await {
        let before = bench.stored(&run).await;
        let (id, told) = (run.id(), &bench.orchestrator);
        let says = |verb: &str| format!("a run that is {status} can't be {verb}");
        assert_refused(told.cancel(id, "again").await, &says("cancelled"));
        assert_refused(told.pause(id).await, &says("paused"));
        assert_refused(told.resume(id).await, &says("resumed"));
        assert_refused(told.signal(id, "go", 1).await, &says("signalled"));
        if status != Status::Failed {
            assert_refused(told.retry(id).await, &says("retried"));
        }
        bench.pass().await;
        assert_eq!(bench.stored(&run).await, before, "{status}");
    }
}

#[tokio::test]
async fn a_retry_of_a_run_that_has_not_failed_is_refused_and_changes_nothing() {
    let bench = Bench::new();
    let created = bench.start(Way::Waits).await;
    assert_refused(bench.orchestrator.retry(created.id()).await, "a run that is created can't be retried");
    bench.pass().await;
    let before = bench.stored(&created).await;
    assert_refused(bench.orchestrator.retry(created.id()).await, "a run that is pending can't be retried");
    assert_eq!(bench.stored(&created).await, before);
}

#[tokio::test]
async fn a_pause_while_a_call_is_under_way_lets_it_end_and_makes_no_other() {
    let bench = Bench::new();
    let run = bench.start(Way::Hangs).await;
    let pause = async || {
        assert_eq!(bench.orchestrator.pause(run.id()).await.unwrap(), Told::Delivered);
        bench.seen.go.notify_one();
    };
    bench.in_a_call(pause).await;
    assert_eq!(bench.seen.calls(), ["work"]);
    let stored = bench.stored(&run).await;
    assert!(stored.run.state.paused);
    assert_eq!(stored.records.values().next().unwrap().status, Status::Finished, "its answer counts");
    bench.clock.advance(Duration::from_secs(3_600));
    bench.pass().await;
    assert_eq!(bench.seen.calls(), ["work"]);
    assert_eq!(bench.orchestrator.resume(run.id()).await.unwrap(), Told::Done);
    bench.pass().await;
    assert_eq!(bench.seen.calls(), ["work", "after"]);
    assert_eq!(run.wait().await.unwrap(), 1);
}

#[tokio::test]
async fn a_pause_is_heard_though_the_inbox_can_not_be_read_at_once() {
    let store = MemoryRepository::new();
    let faulty = FaultyRepository::told(Arc::new(store.clone()));
    let bench = Bench::on(faulty.clone(), store);
    let run = bench.start(Way::Hangs).await;
    let pause = async || {
        assert_eq!(bench.orchestrator.pause(run.id()).await.unwrap(), Told::Delivered);
        faulty.refuse_next_read();
        bench.seen.go.notify_one();
    };
    bench.in_a_call(pause).await;
    assert_eq!(faulty.happened().get(&Fault::Refused), Some(&1), "the inbox is what is read next");
    assert_eq!(bench.seen.calls(), ["work"], "no further call is made");
    assert!(bench.stored(&run).await.run.state.paused);
}

#[tokio::test]
async fn what_comes_after_a_pause_during_one_call_is_not_lost() {
    for cancels in [false, true] {
        let bench = Bench::new();
        let run = bench.start(Way::Hangs).await;
        let tell = async || {
            bench.orchestrator.pause(run.id()).await.unwrap();
            let told = match cancels {
                true => bench.orchestrator.cancel(run.id(), "enough").await,
                false => bench.orchestrator.resume(run.id()).await,
            };
            assert_eq!(told.unwrap(), Told::Delivered);
            bench.seen.go.notify_one();
        };
        bench.in_a_call(tell).await;
        bench.pass().await;
        let expected = if cancels { Status::Cancelled } else { Status::Finished };
        assert_eq!(run.status().await.unwrap(), expected);
    }
}

/// An orchestrator on a store in which this message comes for the run between the next read and the next write.
fn overtaken(
    store: &MemoryRepository,
    clock: &ManualClock,
    run: &RunHandle<Job>,
    mail: Mail,
) -> Orchestrator {
    let (message, id) = (Message::new(MessageId::from_bytes([1; 16]), mail, clock.now()), run.id());
    let (behind, come) = (store.clone(), AtomicBool::new(false));
    let store = SpyRepository::new(store.clone(), move |seen| {
        if matches!(seen, spy::Seen::Called("update")) && !come.swap(true, Ordering::SeqCst) {
            let mut post = pin!(behind.update([Update::post(id, message.clone())].into()));
            let posted = post.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(posted, Poll::Ready(Ok(_))), "a store in memory answers at once");
        }
    });
    let builder = Orchestrator::builder(store).clock(clock.clone()).resource(Seen::default());
    builder.pipeline::<Job>().build().unwrap()
}

#[tokio::test]
async fn a_pause_that_is_overtaken_is_not_lost_and_loses_nothing() {
    let cancel = Mail::Cancel { reason: Text::from("enough") };
    let signal = Mail::Signal { name: Text::from("go"), payload: Text::from("7") };
    for (mail, status) in [(cancel, Status::Cancelled), (signal, Status::Pending)] {
        let bench = Bench::new();
        let run = bench.start(Way::Waits).await;
        bench.pass().await;
        let teller = overtaken(&bench.store, &bench.clock, &run, mail);
        assert_eq!(teller.pause(run.id()).await.unwrap(), Told::Delivered);
        bench.pass().await;
        let stored = bench.stored(&run).await;
        assert_eq!((stored.run.status(), stored.run.state.paused), (status, status == Status::Pending));
        assert_eq!(bench.seen.calls(), ["work"]);
    }
}

#[tokio::test]
async fn what_was_sent_to_a_worker_that_paused_the_run_meanwhile_is_heard() {
    for (mail, call) in [(Mail::Cancel { reason: Text::from("enough") }, None), (Mail::Resume, Some("after"))]
    {
        let bench = Bench::new();
        let run = bench.start(Way::Waits).await;
        bench.pass().await;
        bench.orchestrator.signal(run.id(), "go", 1).await.unwrap();
        bench.orchestrator.pause(run.id()).await.unwrap();
        let message = Message::new(MessageId::from_uuid(run.id().as_uuid()), mail.clone(), bench.clock.now());
        bench.store.update([Update::post(run.id(), message)].into()).await.unwrap();
        bench.pass().await;
        bench.pass().await;
        let ended = if call.is_some() { Status::Finished } else { Status::Cancelled };
        assert_eq!(run.status().await.unwrap(), ended, "{mail:?}");
        assert_eq!(bench.seen.calls().get(1).map(String::as_str), call);
    }
}

#[tokio::test]
async fn a_resume_of_a_run_that_is_not_paused_changes_nothing() {
    let bench = Bench::new();
    let run = bench.start(Way::Waits).await;
    bench.pass().await;
    let before = bench.stored(&run).await;
    assert_eq!(bench.orchestrator.resume(run.id()).await.unwrap(), Told::Done);
    let mut after = bench.stored(&run).await;
    assert_eq!(after.run.epoch, before.run.epoch.next());
    after.run.epoch = before.run.epoch;
    assert_eq!(after, before, "but for the epoch");
    bench.pass().await;
    assert_eq!(bench.seen.calls(), ["work"]);
}

#[tokio::test]
async fn a_delayed_run_is_not_begun_before_its_time() {
    let bench = Bench::new();
    let delay = Duration::from_secs(60);
    let run = bench.orchestrator.start::<Job>(Way::Finishes).delay(delay).await.unwrap();
    bench.orchestrator.signal(run.id(), "go", 1).await.unwrap();
    bench.pass().await;
    assert_eq!(bench.seen.calls().len(), 0, "not by a signal either, which is kept");
    bench.clock.advance(delay - Duration::from_micros(1));
    bench.pass().await;
    assert_eq!((bench.seen.calls().len(), run.status().await.unwrap()), (0, Status::Created));
    bench.clock.advance(Duration::from_micros(1));
    bench.pass().await;
    assert_eq!(run.status().await.unwrap(), Status::Finished);
    let stored = bench.stored(&run).await;
    assert_eq!(stored.run.state.ended_at, Some(bench.clock.now()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_starters_with_one_key_make_one_run() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("jobs.db");
    let open = || {
        let builder = Orchestrator::builder(SqliteRepository::open(&file).unwrap());
        builder.resource(Seen::default()).pipeline::<Job>().build().unwrap()
    };
    let starters = [open(), open()];
    for round in 0..20 {
        let start = |orchestrator: Orchestrator| {
            tokio::spawn(async move {
                let run = orchestrator.start::<Job>(Way::Finishes).key(format!("it's \"{round}\"")).await;
                run.map(|run| (run.id(), run.is_new())).unwrap()
            })
        };
        let both = starters.each_ref().map(|orchestrator| start(orchestrator.clone()));
        let [one, other] = both;
        let (one, other) = (one.await.unwrap(), other.await.unwrap());
        assert_eq!(one.0, other.0, "one run");
        assert!(one.1 != other.1, "which one of them started");
    }
    let all = starters[0].search(&Filter::all().with_total()).await.unwrap();
    assert_eq!(all.total, Some(20));
}

/// Says which run is called, and ends it.
#[step]
async fn note(name: String, seen: &Seen) -> StepResult<()> {
    seen.call(name);
    finish(())
}

#[pipeline(steps = [note])]
struct Noted;

#[tokio::test]
async fn of_eight_places_seven_go_to_the_most_urgent_and_one_to_the_longest_due() {
    for at_once in [1, 3, 8] {
        some_urgent_and_some_old(at_once).await;
    }
}

/// However few are executed at once.
async fn some_urgent_and_some_old(at_once: usize) {
    let (clock, seen) = (ManualClock::default(), Seen::default());
    let builder = Orchestrator::builder(MemoryRepository::new()).clock(clock.clone()).resource(seen.clone());
    let config = OrchestratorConfig::default().concurrency(at_once);
    let orchestrator = builder.config(config).pipeline::<Noted>().build().unwrap();
    let start = |priority: u8, number: u32| {
        orchestrator.start::<Noted>(format!("{priority}.{number}")).priority(priority)
    };
    for number in 0..2 {
        start(9, number).await.unwrap();
        clock.advance(Duration::from_millis(1));
    }
    for number in 0..40 {
        start(0, number).await.unwrap();
        start(5, number).await.unwrap();
    }
    orchestrator.execute_pipelines().await.unwrap();
    let calls = seen.calls();
    assert_eq!(calls.len(), 82);
    let urgent = calls[..8].iter().filter(|call| call.starts_with("0.")).count();
    assert!(urgent == 7 && calls[..8].contains(&"9.0".to_owned()), "{at_once}: {:?}", &calls[..8]);
    let last = |of: &str| calls.iter().rposition(|call| call.starts_with(of)).unwrap();
    assert!(last("0.") < last("5."), "the most urgent are done before the less urgent ones");
}

#[tokio::test]
async fn runs_are_found_by_what_is_pinned_to_them() {
    let bench = Bench::new();
    let start = || bench.orchestrator.start::<Job>(Way::Waits);
    let one = start().metadata("customer", "O'Brien").metadata("amount", 12).await.unwrap();
    let two = start().metadata("customer", "O'Brien").metadata("amount", "12").await.unwrap();
    let found = async |filter: Filter| {
        let page = bench.orchestrator.search(&filter).await.unwrap();
        page.runs.into_iter().map(|run| run.id).collect::<Vec<_>>()
    };
    let by = |name: &str, value: serde_json::Value| Filter::all().metadata(name, value);
    let mut both = [one.id(), two.id()];
    both.sort();
    assert_eq!(found(by("customer", "O'Brien".into())).await, both);
    assert_eq!(found(by("customer", "O'Brien".into()).metadata("amount", 12)).await, [one.id()]);
    assert_eq!(found(by("amount", "12".into())).await, [two.id()], "a text is no number");
    assert_eq!(found(by("amount", 13.into())).await, []);
    assert_eq!(found(by("Customer", "O'Brien".into())).await, []);
}
