//! Somebody says what became of a step that is in doubt.

use prorch::prelude::*;
use prorch::repository::{CauseKind, HistoryKind, MemoryRepository, Repository};
use prorch::{Error, NoVerdict, RunId, Status};

use crate::bank::{Bench, Blind, First, LookUp, Pay, Payment, blind, entry, file};

const LOST: Payment = Payment { first: First::PaysAndErrs, look_up: LookUp::Errs };

async fn in_doubt<R: Repository + Clone>(repository: R) -> (Bench<R>, RunId) {
    let bench = Bench::on::<Blind>(repository);
    let id = bench.start::<Blind>(LOST).await;
    bench.to_the_end().await;
    assert_eq!(bench.end(id).await.1.unwrap().kind, CauseKind::InDoubt);
    (bench, id)
}

async fn each_verdict<R: Repository + Clone>(open: impl Fn() -> R) {
    let (bench, id) = in_doubt(open()).await;
    bench.orchestrator.settle::<blind>(id).finished("paid, says the clerk".to_owned()).await.unwrap();
    bench.to_the_end().await;
    let run = bench.orchestrator.handle::<Blind>(id).await.unwrap();
    assert_eq!(run.wait().await.unwrap(), "paid, says the clerk, and filed");
    assert_eq!(bench.bank.only().called, 1);

    let (bench, id) = in_doubt(open()).await;
    let clerk = bench.orchestrator.acting_for("the clerk");
    clerk.settle::<blind>(id).failed("it bounced").await.unwrap();
    let history = bench.orchestrator.history(id).await.unwrap().entries;
    let said = history.iter().find(|entry| entry.kind == HistoryKind::Settled).unwrap();
    let said = [&said.step, &said.text, &said.sender].map(|text| text.as_deref().unwrap());
    assert_eq!(said, ["blind", "failed: it bounced", "the clerk"]);
    let (status, cause) = bench.end(id).await;
    let cause = cause.unwrap();
    assert_eq!((status, cause.kind, &*cause.text), (Status::Failed, CauseKind::Error, "it bounced"));
    assert_eq!(bench.bank.only().called, 1);
    bench.orchestrator.retry(id).await.unwrap();
    bench.to_the_end().await;
    assert_eq!(bench.bank.only().called, 2, "whoever retries it now knows that it bounced");

    let (bench, id) = in_doubt(open()).await;
    bench.orchestrator.settle::<blind>(id).start_again().await.unwrap();
    bench.to_the_end().await;
    assert_eq!((bench.end(id).await.1.unwrap().kind, bench.bank.only().called), (CauseKind::InDoubt, 2));
}

#[tokio::test]
async fn each_verdict_on_the_memory_repository() {
    each_verdict(MemoryRepository::new).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn each_verdict_on_sqlite() {
    each_verdict(|| SqliteRepository::open_in_memory().unwrap()).await;
}

#[tokio::test]
async fn of_several_verdicts_the_first_one_counts() {
    let (bench, id) = in_doubt(MemoryRepository::new()).await;
    let settle = || bench.orchestrator.settle::<blind>(id);
    let (one, other) = tokio::join!(settle().finished("paid".to_owned()), settle().start_again());
    assert_ne!(one.is_ok(), other.is_ok(), "{one:?}, {other:?}");
    let refused = settle().start_again().await.unwrap_err();
    assert_eq!(refused.to_string(), format!("run {id}: a run that is pending can't be settled"));
}

#[tokio::test]
async fn nothing_is_said_of_what_is_not_in_doubt() {
    let (bench, id) = in_doubt(MemoryRepository::new()).await;
    let orchestrator = &bench.orchestrator;
    let not = orchestrator.settle::<file>(id).finished(String::new()).await.unwrap_err();
    assert!(matches!(&not, Error::NotSettled { why: NoVerdict::NotInDoubt { .. }, .. }), "{not:?}");
    assert!(not.to_string().ends_with("its step `file` is not in doubt, but `blind`"), "{not}");
    let gone = orchestrator.settle::<blind>(RunId::from_bytes([7; 16])).start_again().await.unwrap_err();
    assert!(matches!(gone, Error::NotFound(_)));
    let long = orchestrator.settle::<blind>(id).finished("x".repeat(3_000)).await.unwrap_err();
    assert!(matches!(long, Error::TooLarge { .. }));
    let stranger = Orchestrator::builder(bench.repository.clone()).pipeline::<Other>().build().unwrap();
    let unknown = stranger.settle::<blind>(id).start_again().await.unwrap_err();
    assert!(unknown.to_string().contains("its pipeline `Blind` is unknown here"), "{unknown}");
    assert_eq!(bench.bank.only(), entry(1, 1, 0, 0));
    assert_eq!(bench.end(id).await.1.unwrap().kind, CauseKind::InDoubt, "nothing has changed");
}

#[pipeline(steps = [file])]
struct Other;

#[pipeline(steps = [payments, each(blind)])]
struct PayAll;

#[step]
async fn payments(count: usize) -> StepResult<Vec<Payment>> {
    finish(vec![LOST; count])
}

#[tokio::test]
async fn of_several_that_are_in_doubt_it_is_said_which() {
    let bench = Bench::new::<PayAll>();
    let id = bench.start::<PayAll>(3).await;
    bench.to_the_end().await;
    let settle = || bench.orchestrator.settle::<blind>(id);
    let several = settle().finished("paid".to_owned()).await.unwrap_err().to_string();
    assert!(several.contains("`blind[0]`, `blind[1]`, `blind[2]`; say which by"), "{several}");
    for item in [2, 0, 1] {
        settle().item(item).finished(format!("paid {item}")).await.unwrap();
        bench.to_the_end().await;
    }
    let run = bench.orchestrator.handle::<PayAll>(id).await.unwrap();
    assert_eq!(run.wait().await.unwrap(), ["paid 0", "paid 1", "paid 2"]);
    assert!(bench.bank.take().values().all(|entry| entry.called == 1));
}

#[pipeline(steps = [[Pay, Pay]])]
struct PayTwice;

#[tokio::test]
async fn a_step_that_stands_there_twice_is_told_by_its_name() {
    let bench = Bench::new::<PayTwice>();
    let id = bench.start::<PayTwice>(LOST).await;
    bench.to_the_end().await;
    let settle = || bench.orchestrator.settle::<Pay>(id);
    assert!(settle().named("Pay#3").start_again().await.is_err());
    settle().named("Pay#2").finished("paid".to_owned()).await.unwrap();
    bench.to_the_end().await;
    settle().finished("paid too".to_owned()).await.unwrap();
    bench.to_the_end().await;
    let run = bench.orchestrator.handle::<PayTwice>(id).await.unwrap();
    assert_eq!(run.wait().await.unwrap(), ("paid too".to_owned(), "paid".to_owned()));
}
