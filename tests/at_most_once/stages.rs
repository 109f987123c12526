//! Steps that are called at most once in groups and lists, and where what was done is undone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use prorch::Status;
use prorch::prelude::*;
use prorch::repository::{CauseKind, MemoryRepository, UndoPhase};
use prorch_testkit::spy::{Seen, SpyRepository};

use crate::bank::{Bank, Bench, First, LookUp, Pay, Paying, Payment, blind, entry};

#[pipeline(steps = [[Pay, blind], count])]
struct Both;

#[step]
async fn count((one, other): (String, String)) -> StepResult<usize> {
    finish(one.len() + other.len())
}

#[tokio::test]
async fn members_of_a_group_are_in_doubt_each_for_itself() {
    let bench = Bench::new::<Both>();
    let id = bench.start::<Both>(Payment { first: First::PaysAndErrs, look_up: LookUp::Tells }).await;
    bench.to_the_end().await;
    assert_eq!(bench.end(id).await.1.unwrap().step.as_deref(), Some("blind"));
    let beside = bench.record(id, 0, 0).await;
    assert!(
        beside.status == Status::Finished || beside.is_in_doubt(),
        "asked before, or is to be asked: {beside:?}"
    );
    bench.orchestrator.settle::<blind>(id).finished("paid".to_owned()).await.unwrap();
    bench.to_the_end().await;
    assert_eq!(bench.end(id).await.0, Status::Finished);
    assert!(bench.bank.take().values().all(|entry| (entry.called, entry.paid) == (1, 1)));
}

/// Taken back by the key that it was paid under.
#[step(at_most_once, retry(backoff = "1s..1s"))]
struct PayBack;

impl Step for PayBack {
    type Input = Payment;
    type Output = String;

    async fn on_start(&mut self, payment: &Payment, cx: &StepContext) -> StepResult<String> {
        cx.resource::<Bank>()?.first(payment.first, cx).await
    }

    async fn compensate(&mut self, _: &Payment, output: Option<&String>, cx: &StepContext) -> StepResult<()> {
        cx.set_metadata("taken back", format!("{} {}", cx.step_key(), output.is_some()));
        finish(())
    }
}

#[pipeline(steps = [PayBack], on_failure = compensate)]
struct PayingBack;

#[tokio::test]
async fn a_step_in_doubt_is_undone_like_one_that_failed() {
    let bench = Bench::new::<PayingBack>();
    let id = bench.start::<PayingBack>(Payment { first: First::PaysAndErrs, look_up: LookUp::Tells }).await;
    bench.to_the_end().await;
    let state = bench.stored(id).await.run.state;
    assert_eq!((state.status, state.undo_phase()), (Status::Failed, Some(UndoPhase::Undone)));
    assert_eq!(state.cause.unwrap().kind, CauseKind::InDoubt);
    assert_eq!(state.metadata["taken back"], format!("{id}:PayBack false"));
    assert_eq!(bench.bank.only(), entry(1, 1, 0, 0));
    let refused = bench.orchestrator.settle::<PayBack>(id).start_again().await.unwrap_err();
    assert!(refused.to_string().contains("undone; restart it"), "{refused}");
}

/// Takes a run of its own back, at most once.
#[step(at_most_once)]
async fn take_back((_, _): (Payment, Option<String>)) -> StepResult<()> {
    finish(())
}

#[pipeline(steps = [run(Paying, undo = take_back)], on_failure = compensate)]
struct Around;

#[tokio::test]
async fn a_run_of_its_own_is_started_once_anyhow_and_nothing_is_written_down_for_it() {
    let intents = Arc::new(AtomicU32::new(0));
    let count = intents.clone();
    let spy = SpyRepository::new(MemoryRepository::new(), move |seen| {
        let Seen::Answered(update, _) = seen else { return };
        let written = update.records.iter().filter(|write| write.record().is_in_doubt());
        let parent = written.filter(|write| write.record().name == *"Paying").count();
        count.fetch_add(u32::try_from(parent).unwrap(), Ordering::SeqCst);
    });
    let bench = Bench::on::<Around>(spy);
    let id = bench.start::<Around>(Payment { first: First::Pays, look_up: LookUp::Tells }).await;
    bench.to_the_end().await;
    assert_eq!((bench.end(id).await.0, bench.bank.only().called), (Status::Finished, 1));
    assert_eq!(intents.load(Ordering::SeqCst), 0);
}
