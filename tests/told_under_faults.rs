//! What a program hears when it starts a run or tells one something, and the store fails just then.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prorch::prelude::*;
use prorch::repository::{Filter, MemoryRepository, Part, Repository};
use prorch::{Status, Told};
use prorch_testkit::ManualClock;
use prorch_testkit::faults::{Fault, FaultyRepository, Odds};
use prorch_testkit::spy::{Seen, SpyRepository};

/// Waits for one signal, and says how many it got.
#[step]
struct Listener;

impl Step for Listener {
    type Input = u64;
    type Output = u64;

    async fn on_start(&mut self, input: &u64, _: &StepContext) -> StepResult<u64> {
        if *input == 0 {
            fail("nothing to listen to")
        } else {
            wait_for_signal("go", Duration::from_secs(60))
        }
    }

    async fn on_continue(&mut self, _: &u64, cx: &StepContext) -> StepResult<u64> {
        let mut heard = 0;
        while cx.signal::<u64>("go")?.is_some() {
            heard += 1;
        }
        finish(heard)
    }
}

#[pipeline(steps = [Listener])]
struct Listening;

type Faulty = FaultyRepository<MemoryRepository>;

/// A store, and an orchestrator that has it with this fault at its first write.
struct Bench {
    store: Arc<MemoryRepository>,
    clock: ManualClock,
    faulty: Faulty,
    teller: Orchestrator,
    worker: Orchestrator,
}

fn bench(fault: Fault) -> Bench {
    let (store, clock) = (Arc::new(MemoryRepository::new()), ManualClock::default());
    let faulty = FaultyRepository::at(store.clone(), fault, 0);
    let teller = orchestrator(faulty.clone(), &clock);
    let worker = orchestrator((*store).clone(), &clock);
    Bench { store, clock, faulty, teller, worker }
}

fn orchestrator(repository: impl Repository, clock: &ManualClock) -> Orchestrator {
    Orchestrator::builder(repository).clock(clock.clone()).pipeline::<Listening>().build().unwrap()
}

#[tokio::test]
async fn a_start_whose_answer_is_lost_makes_one_run_and_says_that_it_is_new() {
    for fault in Fault::PASSING {
        let bench = bench(fault);
        let run = bench.teller.start::<Listening>(1).await.unwrap();
        assert!(run.is_new(), "{fault:?}");
        bench.faulty.settle().await;
        let page = bench.store.search(&Filter::all()).await.unwrap();
        assert_eq!(page.runs.iter().map(|run| run.id).collect::<Vec<_>>(), [run.id()], "{fault:?}");
    }
}

#[tokio::test]
async fn a_pass_waits_out_what_passes_before_and_after_its_work() {
    for seed in 0..12 {
        let odds = Odds { per_thousand: 300, faults: vec![Fault::Refused], seed };
        let faulty = FaultyRepository::with_odds(Arc::new(MemoryRepository::new()), odds);
        let report = orchestrator(faulty, &ManualClock::default()).execute_pipelines().await;
        assert_eq!(report.unwrap().claimed, 0, "seed {seed}");
    }
}

#[tokio::test]
async fn a_start_that_got_no_answer_at_first_stays_unknown_when_the_store_goes_away() {
    let refuses = Odds { per_thousand: 1_000, faults: vec![Fault::Refused], seed: 0 };
    let gone = FaultyRepository::with_odds(Arc::new(MemoryRepository::new()), refuses);
    for (fault, is_unknown) in [(Fault::NeverArrived, true), (Fault::Refused, false)] {
        let faulty = FaultyRepository::at(Arc::new(gone.clone()), fault, 0);
        let error = orchestrator(faulty, &ManualClock::default()).start::<Listening>(1).await.unwrap_err();
        assert_eq!(error.is_ambiguous(), is_unknown, "after {fault:?}: {error}");
        assert_eq!(error.is_transient(), !is_unknown, "after {fault:?}: {error}");
    }
}

#[tokio::test]
async fn a_signal_whose_answer_is_lost_is_one_signal() {
    for fault in Fault::PASSING {
        let bench = bench(fault);
        let run = bench.worker.start::<Listening>(1).await.unwrap();
        bench.worker.execute_pipelines().await.unwrap();
        bench.teller.signal(run.id(), "go", 1_u64).await.unwrap();
        bench.faulty.settle().await;
        bench.worker.execute_pipelines().await.unwrap();
        assert_eq!(run.wait().await.unwrap(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_signal_that_arrives_late_wakes_nobody_again() {
    let bench = bench(Fault::Late);
    let run = bench.worker.start::<Listening>(1).await.unwrap();
    bench.worker.execute_pipelines().await.unwrap();
    bench.teller.signal(run.id(), "go", 1_u64).await.unwrap();
    bench.worker.execute_pipelines().await.unwrap();
    let before = bench.store.get(run.id(), Part::Work).await.unwrap();
    bench.faulty.settle().await;
    assert_eq!(bench.store.get(run.id(), Part::Work).await.unwrap(), before);
}

#[tokio::test]
async fn a_cancel_whose_answer_is_lost_is_done() {
    for fault in Fault::PASSING {
        let bench = bench(fault);
        let run = bench.worker.start::<Listening>(1).await.unwrap();
        assert_eq!(bench.teller.cancel(run.id(), "enough").await.unwrap(), Told::Done, "{fault:?}");
        bench.faulty.settle().await;
        assert_eq!(run.status().await.unwrap(), Status::Cancelled, "{fault:?}");
    }
}

#[tokio::test]
async fn a_retry_whose_answer_is_lost_is_done_once() {
    for fault in Fault::PASSING {
        let bench = bench(fault);
        let run = bench.worker.start::<Listening>(0).await.unwrap();
        assert_eq!(bench.worker.execute_pipelines().await.unwrap().failed, 1);
        assert_eq!(bench.teller.retry(run.id()).await.unwrap(), Told::Done, "{fault:?}");
        assert_eq!(bench.worker.execute_pipelines().await.unwrap().failed, 1, "it fails again");
        bench.faulty.settle().await;
        assert_eq!(
            run.status().await.unwrap(),
            Status::Failed,
            "{fault:?}: and is not reopened by a late write"
        );
    }
}

/// The run that was retried fails again before the one who told it hears anything: it is not retried a second time, since
/// somebody asked for one.
#[tokio::test]
async fn a_retry_whose_answer_is_lost_is_not_made_again_when_the_run_has_failed_again() {
    let Bench { store, clock, faulty, worker, .. } = bench(Fault::AnswerLost);
    let run = worker.start::<Listening>(0).await.unwrap();
    assert_eq!(worker.execute_pipelines().await.unwrap().failed, 1);
    let retries = Arc::new(AtomicU64::new(0));
    let (counted, passes) = (retries.clone(), worker.clone());
    let spy = SpyRepository::new(faulty, move |seen| match seen {
        Seen::Returned("update") if counted.fetch_add(1, Ordering::SeqCst) == 0 => one_pass(&passes),
        _ => {}
    });
    let said = orchestrator(spy, &clock).retry(run.id()).await;
    assert!(matches!(&said, Err(prorch::Error::Store(error)) if error.is_ambiguous()), "{said:?}");
    assert_eq!(retries.load(Ordering::SeqCst), 2, "it was asked again what became of it");
    let stored = store.get(run.id(), Part::Row).await.unwrap().unwrap();
    assert_eq!(stored.run.status(), Status::Failed, "and left as it is");
}

/// Lets a worker make a pass while somebody else is in the midst of a call.
fn one_pass(worker: &Orchestrator) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            assert_eq!(runtime.block_on(worker.execute_pipelines()).unwrap().failed, 1);
        });
    });
}

#[tokio::test]
async fn a_pause_and_a_resume_whose_answers_are_lost_are_done() {
    for fault in Fault::PASSING {
        let bench = bench(fault);
        let run = bench.worker.start::<Listening>(1).await.unwrap();
        assert_eq!(bench.teller.pause(run.id()).await.unwrap(), Told::Done, "{fault:?}");
        bench.clock.advance(Duration::from_secs(1));
        assert_eq!(bench.worker.resume(run.id()).await.unwrap(), Told::Done, "{fault:?}");
        bench.faulty.settle().await;
        let stored = bench.store.get(run.id(), Part::Row).await.unwrap().unwrap();
        assert!(!stored.run.state.paused, "{fault:?}: a late pause does not undo the resume");
    }
}

#[step]
async fn number(input: u64) -> StepResult<u64> {
    finish(input)
}

/// May fail once at most: an error of the store that counted as its own would end its run.
#[step(retry(max_attempts = 1))]
async fn looks_back(_: Anything, cx: &StepContext) -> StepResult<u64> {
    finish(cx.output::<number>().await?)
}

#[pipeline(steps = [number, looks_back])]
struct LooksBack;

#[tokio::test]
async fn an_earlier_output_that_cannot_be_read_for_a_moment_is_no_error_of_the_step() {
    let odds = Odds { per_thousand: 300, faults: vec![Fault::Refused], seed: 7 };
    let faulty = FaultyRepository::with_odds(Arc::new(MemoryRepository::new()), odds);
    let orchestrator = Orchestrator::builder(faulty).pipeline::<LooksBack>().build().unwrap();
    let work = async {
        let mut runs = Vec::new();
        for input in 0..30 {
            runs.push(orchestrator.start::<LooksBack>(input).await.unwrap());
        }
        for (run, input) in runs.into_iter().zip(0..) {
            assert_eq!(run.wait().await.unwrap(), input);
        }
    };
    orchestrator.run_until(work).await.unwrap();
}
