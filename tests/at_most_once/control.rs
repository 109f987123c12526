//! What is said from outside while it is not known what became of a first call, and what ends it.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use prorch::prelude::*;
use prorch::repository::{
    CauseKind, Mail, MemoryRepository, Message, MessageId, Repository, Timestamp, Update,
};
use prorch::testing::ManualClock;
use prorch::{RunId, Status, Told};
use prorch_testkit::faults::FaultyRepository;
use prorch_testkit::spy::{Seen, SpyRepository};

use crate::bank::{Bank, Bench, First, LookUp, Pay, Paying, Payment, entry};

const LOST: Payment = Payment { first: First::PaysAndErrs, look_up: LookUp::Tells };

/// A run whose first call erred, and which waits to be asked about.
async fn waiting() -> (Bench<MemoryRepository>, RunId) {
    let bench = Bench::new::<Paying>();
    let id = bench.start::<Paying>(LOST).await;
    bench.pass().await;
    let record = bench.record(id, 0, 0).await;
    assert_eq!((record.status, record.is_in_doubt(), record.errors), (Status::Created, true, 1));
    (bench, id)
}

#[tokio::test]
async fn a_cancel_ends_it_and_the_record_shows_that_it_was_in_doubt() {
    let (bench, id) = waiting().await;
    assert_eq!(bench.orchestrator.cancel(id, "enough").await.unwrap(), Told::Done);
    assert_eq!(bench.end(id).await.0, Status::Cancelled);
    assert!(bench.record(id, 0, 0).await.is_in_doubt());
    bench.to_the_end().await;
    assert_eq!(bench.bank.only(), entry(1, 1, 0, 0));
}

#[tokio::test]
async fn a_pause_holds_the_question_back() {
    let (bench, id) = waiting().await;
    bench.orchestrator.pause(id).await.unwrap();
    bench.clock.advance(Duration::from_secs(5));
    bench.pass().await;
    assert_eq!(bench.bank.only(), entry(1, 1, 0, 0));
    bench.orchestrator.resume(id).await.unwrap();
    bench.pass().await;
    assert_eq!((bench.end(id).await.0, bench.bank.only()), (Status::Finished, entry(1, 1, 1, 0)));
}

#[tokio::test]
async fn a_restart_is_a_new_run_with_a_key_and_a_first_call_of_its_own() {
    let (bench, id) = waiting().await;
    bench.orchestrator.cancel(id, "once more").await.unwrap();
    let restarted = bench.orchestrator.restart(id).await.unwrap().id();
    bench.to_the_end().await;
    assert_eq!(bench.end(restarted).await.0, Status::Finished);
    let books = bench.bank.take();
    assert_eq!(books.len(), 2);
    assert_eq!(books[&format!("{id}:Pay")], entry(1, 1, 0, 0));
    assert_eq!(books[&format!("{restarted}:Pay")], entry(1, 1, 1, 0));
}

#[tokio::test]
async fn another_build_with_another_list_asks_about_it() {
    let bench = Bench::new::<before::Paying>();
    let id = bench.start::<before::Paying>(LOST).await;
    bench.pass().await;
    bench.clock.advance(Duration::from_secs(60));
    let after = Orchestrator::builder(bench.repository.clone()).clock(bench.clock.clone());
    let after = after.resource(bench.bank.clone()).pipeline::<PayingAndMore>().build().unwrap();
    after.execute_pipelines().await.unwrap();
    let run = after.handle::<PayingAndMore>(id).await.unwrap();
    assert_eq!(run.wait().await.unwrap(), "paid, as the books say");
    assert_eq!(bench.bank.only(), entry(1, 1, 1, 0));
}

mod before {
    use prorch::prelude::*;

    use crate::bank::Pay;

    #[pipeline(name = "payments", steps = [Pay])]
    pub(super) struct Paying;
}

#[step]
async fn check(payment: Payment) -> StepResult<Payment> {
    finish(payment)
}

#[pipeline(name = "payments", steps = [check, Pay])]
struct PayingAndMore;

/// Hangs, and has a deadline.
#[step(at_most_once, deadline = "1m", timeout = "10m")]
async fn slow(payment: Payment, cx: &StepContext, bank: &Bank) -> StepResult<String> {
    bank.first(payment.first, cx).await
}

#[pipeline(steps = [slow])]
struct Slow;

#[tokio::test]
async fn a_deadline_that_passes_in_the_call_leaves_it_in_doubt() {
    let bench = Bench::new::<Slow>();
    let id = bench.start::<Slow>(Payment { first: First::PaysAndHangs, look_up: LookUp::Tells }).await;
    let pass = bench.pass();
    tokio::pin!(pass);
    while tokio::time::timeout(Duration::from_millis(20), &mut pass).await.is_err() {
        bench.clock.advance(Duration::from_secs(5));
    }
    let cause = bench.end(id).await.1.unwrap();
    assert_eq!(cause.kind, CauseKind::InDoubt);
    assert!(cause.text.contains("did not end within its deadline of 60s"), "{}", cause.text);
    assert_eq!(bench.bank.only().called, 1);
}

/// A call that is dropped because its worker stops was made, as far as anybody knows.
#[tokio::test]
async fn a_worker_that_stops_in_the_call_leaves_it_to_be_asked_about() {
    let bench = Bench::new::<Paying>();
    let id = bench.start::<Paying>(Payment { first: First::PaysAndHangs, look_up: LookUp::Tells }).await;
    let called = async {
        while bench.bank.only().called == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        () = bench.pass() => panic!("it hangs"),
        () = called => {}
    }
    for _ in 0..1_000 {
        if bench.stored(id).await.run.lease.is_none() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    bench.to_the_end().await;
    assert_eq!((bench.end(id).await.0, bench.bank.only()), (Status::Finished, entry(1, 1, 1, 0)));
}

/// Puts a pause into the inbox of a run at once.
fn pause_at_once(store: &MemoryRepository, run: RunId) {
    let message = Message::new(MessageId::from_bytes([3; 16]), Mail::Pause, Timestamp::from_micros(0));
    let mut posted = pin!(store.update([Update::post(run, message)].into()));
    assert!(posted.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
}

/// What is written down, and then not called since a pause comes between, is not written down any more.
#[tokio::test]
async fn a_call_that_was_not_made_after_all_is_nothing_to_ask_about() {
    let (inner, intents) = (MemoryRepository::new(), Arc::new(AtomicU32::new(0)));
    let (store, seen_by) = (inner.clone(), intents.clone());
    let spy = SpyRepository::new(inner, move |seen| match seen {
        Seen::Claimed(claim) if seen_by.load(Ordering::SeqCst) == 0 => {
            pause_at_once(&store, claim.stored.run.id);
        }
        Seen::Answered(update, _) if update.records.iter().any(|write| write.record().is_in_doubt()) => {
            seen_by.fetch_add(1, Ordering::SeqCst);
        }
        _ => {}
    });
    let bench = Bench::on::<Paying>(spy);
    let id = bench.start::<Paying>(LOST).await;
    bench.pass().await;
    assert_eq!((intents.load(Ordering::SeqCst), bench.bank.only()), (1, entry(0, 0, 0, 0)));
    assert!(bench.stored(id).await.run.state.paused);
    assert!(!bench.record(id, 0, 0).await.is_in_doubt());
    bench.orchestrator.resume(id).await.unwrap();
    bench.pass().await;
    assert_eq!(bench.bank.only(), entry(1, 1, 0, 0), "it is its first call");
}

/// The intent of one that is called at most once costs a commit; no other step pays for that.
#[tokio::test]
async fn only_such_a_step_costs_a_commit_more() {
    async fn writes<P: Pipeline>(input: P::Input) -> u32 {
        let count = Arc::new(AtomicU32::new(0));
        let seen_by = count.clone();
        let spy = SpyRepository::new(MemoryRepository::new(), move |seen| {
            if matches!(seen, Seen::Answered(..)) {
                seen_by.fetch_add(1, Ordering::SeqCst);
            }
        });
        let bench = Bench::on::<P>(spy);
        bench.start::<P>(input).await;
        bench.to_the_end().await;
        count.load(Ordering::SeqCst)
    }
    let payment = Payment { first: First::Pays, look_up: LookUp::Tells };
    assert_eq!(writes::<Checking>(payment).await, 1);
    assert_eq!(writes::<Paying>(payment).await, 2);
}

#[pipeline(steps = [check])]
struct Checking;

/// The worker is cut off from its store while it calls, and another one takes the run over.
#[tokio::test]
async fn a_lease_that_is_lost_in_the_call_leaves_it_to_be_asked_about() {
    let (inner, bank) = (MemoryRepository::new(), Bank::default());
    let (lost, clock) = (FaultyRepository::told(Arc::new(inner.clone())), ManualClock::default());
    let build = |builder: prorch::OrchestratorBuilder| {
        builder.clock(clock.clone()).resource(bank.clone()).pipeline::<Paying>().build().unwrap()
    };
    let (first, second) = (build(Orchestrator::builder(lost.clone())), build(Orchestrator::builder(inner)));
    let id =
        first.start::<Paying>(Payment { first: First::PaysAndHangs, look_up: LookUp::Tells }).await.unwrap();
    let called = async {
        while bank.only().called == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        lost.kill();
        clock.advance(Duration::from_secs(31));
        second.execute_pipelines().await.unwrap();
    };
    tokio::select! {
        pass = first.execute_pipelines() => assert!(pass.is_err(), "its store is gone: {pass:?}"),
        () = called => {}
    }
    second.execute_pipelines().await.unwrap();
    let run = second.handle::<Paying>(id.id()).await.unwrap();
    assert_eq!(run.wait().await.unwrap(), "paid, as the books say");
    assert_eq!(bank.only(), entry(1, 1, 1, 0));
}

/// At most ten a second, and at most once each.
#[step(at_most_once, rate = "10/s")]
async fn measured(payment: Payment, cx: &StepContext, bank: &Bank) -> StepResult<String> {
    bank.first(payment.first, cx).await
}

#[pipeline(steps = [check, measured])]
struct Measured;

#[tokio::test]
async fn a_step_with_a_rate_is_called_at_most_once_too() {
    for (first, kind) in [(First::Pays, None), (First::PaysAndErrs, Some(CauseKind::InDoubt))] {
        let bench = Bench::new::<Measured>();
        let id = bench.start::<Measured>(Payment { first, look_up: LookUp::Tells }).await;
        bench.to_the_end().await;
        assert_eq!(bench.end(id).await.1.map(|cause| cause.kind), kind);
        assert_eq!(bench.bank.only(), entry(1, 1, 0, 0));
    }
}

/// Of the same name as the other, and of another type: what a run of one gets can't be read by the other.
mod of_numbers {
    use prorch::prelude::*;

    use crate::bank::Bank;

    #[step(at_most_once)]
    pub(super) async fn hand_over(number: u64, cx: &StepContext, bank: &Bank) -> StepResult<String> {
        bank.first(crate::bank::First::Pays, cx).await.map(|_| Progress::Finished(number.to_string()))
    }

    #[pipeline(name = "handing", steps = [hand_over])]
    pub(super) struct Handing;
}

mod of_lists {
    use prorch::prelude::*;

    #[step(at_most_once)]
    pub(super) async fn hand_over(list: Vec<String>) -> StepResult<String> {
        finish(list.concat())
    }

    #[pipeline(name = "handing", steps = [hand_over])]
    pub(super) struct Handing;
}

#[tokio::test]
async fn a_call_whose_input_can_not_be_read_was_not_made() {
    let bench = Bench::new::<of_numbers::Handing>();
    let id = bench.start::<of_numbers::Handing>(7).await;
    let other = Orchestrator::builder(bench.repository.clone()).clock(bench.clock.clone());
    let other = other.pipeline::<of_lists::Handing>().build().unwrap();
    other.execute_pipelines().await.unwrap();
    assert!(bench.stored(id).await.run.state.stuck.is_some(), "it is left as it is");
    assert!(!bench.record(id, 0, 0).await.is_in_doubt());
    bench.to_the_end().await;
    assert_eq!((bench.end(id).await.0, bench.bank.only()), (Status::Finished, entry(1, 1, 0, 0)));
}
