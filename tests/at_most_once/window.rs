//! What becomes of a payment, however its first call and the look into the books go: the table of the state machine.

use prorch::Status;
use prorch::prelude::*;
use prorch::repository::{CauseKind, MemoryRepository, Repository};
use prorch::testing::call;

use crate::bank::{Bench, Blind, Entry, First, LookUp, Pay, Paying, Payment, entry};

/// How a run ends whose first call and whose look-up go like this, and what the bank has seen.
async fn paid<R: Repository + Clone>(
    repository: R,
    first: First,
    look_up: LookUp,
) -> (Result<String, CauseKind>, Entry) {
    let bench = Bench::on::<Paying>(repository);
    let id = bench.start::<Paying>(Payment { first, look_up }).await;
    let work = bench.to_the_end();
    tokio::pin!(work);
    loop {
        // A call that hangs is over when its time is.
        let step = std::time::Duration::from_millis(20);
        if tokio::time::timeout(step, &mut work).await.is_ok() {
            break;
        }
        bench.clock.advance(std::time::Duration::from_secs(21));
    }
    let run = bench.orchestrator.handle::<Paying>(id).await.unwrap();
    let end = match bench.end(id).await {
        (Status::Finished, _) => Ok(run.wait().await.unwrap()),
        (_, cause) => Err(cause.unwrap().kind),
    };
    (end, bench.bank.only())
}

async fn the_table<R: Repository + Clone>(open: impl Fn() -> R) {
    use CauseKind::{Cancelled, Error, InDoubt};
    use First::*;
    let books = "paid, as the books say";
    let rows = [
        // A call whose answer is known is a call like any other.
        (Pays, LookUp::Errs, Ok("paid"), entry(1, 1, 0, 0)),
        (PaysAndWaits, LookUp::Errs, Ok("paid in the end"), entry(1, 1, 0, 1)),
        (Refused, LookUp::Errs, Err(Error), entry(1, 0, 0, 0)),
        // One whose answer is not known is asked about, and not made again.
        (PaysAndErrs, LookUp::Tells, Ok(books), entry(1, 1, 1, 0)),
        (PaysAndPanics, LookUp::Tells, Ok(books), entry(1, 1, 1, 0)),
        (PaysAndHangs, LookUp::Tells, Ok(books), entry(1, 1, 1, 0)),
        (PaysAndErrs, LookUp::ErrsOnce, Ok(books), entry(1, 1, 2, 0)),
        (PaysAndErrs, LookUp::Waits, Ok("paid in the end"), entry(1, 1, 1, 1)),
        (PaysAndErrs, LookUp::Refused, Err(Error), entry(1, 1, 1, 0)),
        (PaysAndErrs, LookUp::Cancels, Err(Cancelled), entry(1, 1, 1, 0)),
        (PaysAndErrs, LookUp::Errs, Err(InDoubt), entry(1, 1, 2, 0)),
        // Nobody knows what it handed on.
        (PaysAndHandsOnTooMuch, LookUp::Tells, Err(InDoubt), entry(1, 1, 0, 0)),
        // Only `on_uncertain` starts it again, as long as it has attempts.
        (Errs, LookUp::Tells, Err(Error), entry(3, 0, 3, 0)),
    ];
    for (first, look_up, end, seen) in rows {
        let came = paid(open(), first, look_up).await;
        assert_eq!(came, (end.map(str::to_owned), seen), "{first:?}, {look_up:?}");
    }
}

#[tokio::test]
async fn the_table_on_the_memory_repository() {
    the_table(MemoryRepository::new).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn the_table_on_sqlite() {
    the_table(|| SqliteRepository::open_in_memory().unwrap()).await;
}

#[tokio::test]
async fn a_step_that_can_not_be_asked_fails_in_doubt_and_says_what_to_do() {
    for first in [First::Errs, First::PaysAndErrs, First::PaysAndPanics] {
        let bench = Bench::new::<Blind>();
        let id = bench.start::<Blind>(Payment { first, look_up: LookUp::Tells }).await;
        bench.to_the_end().await;
        let (status, cause) = bench.end(id).await;
        let cause = cause.unwrap();
        assert_eq!(
            (status, cause.kind, cause.step.as_deref()),
            (Status::Failed, CauseKind::InDoubt, Some("blind"))
        );
        assert!(cause.text.contains("orchestrator.settle::<blind>(run)"), "{}", cause.text);
        assert_eq!(bench.bank.only().called, 1);
        bench.orchestrator.retry(id).await.unwrap();
        bench.to_the_end().await;
        assert_eq!((bench.end(id).await.1.unwrap().kind, bench.bank.only().called), (CauseKind::InDoubt, 1));
    }
    let bench = Bench::new::<Blind>();
    let id = bench.start::<Blind>(Payment { first: First::Pays, look_up: LookUp::Tells }).await;
    bench.to_the_end().await;
    assert_eq!((bench.end(id).await.0, bench.bank.only()), (Status::Finished, entry(1, 1, 0, 0)));
}

/// Begins where only the first call is asked for, and goes on as any step.
#[step(at_most_once, poll = "5s")]
struct Polls {
    asked: u32,
}

impl Step for Polls {
    type Input = u32;
    type Output = u32;

    async fn on_continue_many(waiting: &mut [Waiting<'_, Self>], _: &BatchContext) -> Result<(), StepError> {
        let many = waiting.len() > 1;
        for one in waiting.iter_mut() {
            one.step.asked += 1;
            let first = one.step.asked == 1;
            let answer = match (first, many) {
                (true, true) => fail("a first call is made alone"),
                (true, false) => pending_for(std::time::Duration::from_secs(5)),
                (false, _) => finish(*one.input + one.step.asked),
            };
            one.settle(answer);
        }
        Ok(())
    }

    async fn on_uncertain(&mut self, _: &u32, _: &StepContext) -> StepResult<u32> {
        fail("all is known")
    }
}

#[pipeline(steps = [Polls])]
struct Polling;

#[tokio::test]
async fn a_first_call_is_made_alone_also_where_the_others_are_asked_together() {
    let bench = Bench::new::<Polling>();
    let mut runs = Vec::new();
    for number in 0..4 {
        runs.push((number, bench.start::<Polling>(number).await));
    }
    bench.to_the_end().await;
    for (number, id) in runs {
        let run = bench.orchestrator.handle::<Polling>(id).await.unwrap();
        assert_eq!(run.wait().await.unwrap(), number + 2);
    }
}

/// Answers what only `on_uncertain` may.
#[step(retry(max_attempts = 1))]
async fn starts_again(_: u32) -> StepResult<u32> {
    start_again()
}

#[pipeline(steps = [starts_again])]
struct StartsAgain;

#[tokio::test]
async fn only_on_uncertain_starts_again() {
    let bench = Bench::new::<StartsAgain>();
    let id = bench.start::<StartsAgain>(1).await;
    bench.to_the_end().await;
    let cause = bench.end(id).await.1.unwrap();
    assert_eq!(cause.kind, CauseKind::Error);
    assert!(cause.text.contains("only `on_uncertain` answers it"), "{}", cause.text);
}

async fn look_up(payment: &Payment, cx: &StepContext) -> StepResult<String> {
    cx.resource::<crate::bank::Bank>()?.look_up(payment.look_up, cx)
}

/// A function that says by whom it is asked.
#[step(at_most_once, on_uncertain = look_up, retry(backoff = "1s..1s"))]
async fn pay(payment: &Payment, cx: &StepContext, bank: &crate::bank::Bank) -> StepResult<String> {
    bank.first(payment.first, cx).await
}

#[pipeline(steps = [pay])]
struct PayingByFunction;

#[tokio::test]
async fn a_function_is_asked_by_the_one_that_it_names() {
    let bench = Bench::new::<PayingByFunction>();
    let payment = Payment { first: First::PaysAndErrs, look_up: LookUp::Tells };
    let id = bench.start::<PayingByFunction>(payment).await;
    bench.to_the_end().await;
    let run = bench.orchestrator.handle::<PayingByFunction>(id).await.unwrap();
    assert_eq!(run.wait().await.unwrap(), "paid, as the books say");
    assert_eq!(bench.bank.only(), entry(1, 1, 1, 0));
}

#[tokio::test]
async fn one_step_alone_is_asked_by_a_test() {
    let payment = Payment { first: First::PaysAndErrs, look_up: LookUp::Tells };
    let bank = crate::bank::Bank::default();
    let mut step = call::<Pay>(payment).resource(bank.clone());
    assert_eq!(step.on_uncertain().await.unwrap(), Progress::StartAgain);
    step.on_start().await.unwrap_err();
    assert!(matches!(step.on_uncertain().await.unwrap(), Progress::Finished(_)));
    assert!(call::<crate::bank::blind>(payment).resource(bank).on_uncertain().await.unwrap_err().is_fatal());
}
