//! What is told of a run afterwards: starts, steps, errors, calls that were cut off, who said what, and ends.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use prorch::prelude::*;
use prorch::repository::{HistoryEntry, HistoryKind, MemoryRepository, Repository};
use prorch::{Error, History, OrchestratorBuilder, RunId};
use prorch_testkit::ManualClock;
use prorch_testkit::faults::{Fault, FaultyRepository};

/// Errs twice, then waits to be signed.
#[step(retry(max_attempts = 3, backoff = "1s..1s"))]
async fn shaky(number: u32, cx: &StepContext) -> StepResult<u32> {
    match cx.signal::<bool>("go")? {
        Some(true) => return finish(number),
        Some(false) => return fail("it was not signed"),
        None => {}
    }
    match cx.attempt() {
        1 => Err("the line is down".into()),
        2 => panic!("the line is cut"),
        _ => wait_for_signal("go", None),
    }
}

#[step]
async fn plain(number: u32) -> StepResult<u32> {
    finish(number + 1)
}

#[pipeline(steps = [plain, shaky])]
struct Shaky;

#[pipeline(steps = [plain, plain])]
struct Plain;

fn build(builder: OrchestratorBuilder, clock: &ManualClock) -> Orchestrator {
    builder.clock(clock.clone()).pipeline::<Shaky>().pipeline::<Plain>().build().unwrap()
}

/// Does the test on each kind of repository.
async fn everywhere(test: impl AsyncFn(Orchestrator, ManualClock)) {
    for builder in [
        Orchestrator::builder(MemoryRepository::new()),
        Orchestrator::builder(SqliteRepository::open_in_memory().unwrap()),
    ] {
        let clock = ManualClock::default();
        test(build(builder, &clock), clock).await;
    }
}

async fn passes(orchestrator: &Orchestrator, clock: &ManualClock, count: u32) {
    for _ in 0..count {
        orchestrator.execute_pipelines().await.unwrap();
        clock.advance(Duration::from_secs(2));
    }
}

async fn kinds(orchestrator: &Orchestrator, run: RunId) -> Vec<HistoryKind> {
    orchestrator.history(run).await.unwrap().entries.iter().map(|entry| entry.kind).collect()
}

fn shown(entry: &HistoryEntry) -> String {
    let text = |text: &Option<_>| text.as_ref().map(ToString::to_string).unwrap_or_default();
    let attempt = entry.attempt.map(|attempt| format!("#{attempt}")).unwrap_or_default();
    let line = format!(
        "{:?} {}{attempt} {} {}",
        entry.kind,
        text(&entry.step),
        text(&entry.text),
        text(&entry.sender)
    );
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn what_happened_is_told_in_its_order() {
    everywhere(async |orchestrator, clock| {
        let run = orchestrator.start::<Shaky>(1).key("one").await.unwrap().id();
        let ada = orchestrator.acting_for("ada");
        passes(&orchestrator, &clock, 3).await;
        ada.pause(run).await.unwrap();
        clock.advance(Duration::from_secs(1));
        orchestrator.acting_for("bob").resume(run).await.unwrap();
        clock.advance(Duration::from_secs(1));
        ada.signal(run, "go", false).await.unwrap();
        passes(&orchestrator, &clock, 1).await;
        orchestrator.retry(run).await.unwrap();
        passes(&orchestrator, &clock, 1).await;
        let history = orchestrator.history(run).await.unwrap();
        let me = format!("Retried process {}", std::process::id());
        let lines: Vec<String> = history.entries.iter().map(shown).collect();
        let expected = [
            "Started with the key `one`",
            "Begun",
            "Entered plain",
            "Finished plain",
            "Erred shaky#1 the line is down",
            "Erred shaky#2 the step panicked: the line is cut",
            "Waits shaky#3 go",
            "Paused ada",
            "Resumed bob",
            "Failed shaky#1 it was not signed",
            "Ended shaky failed: it was not signed",
            "Entered shaky",
            &me,
            "Failed shaky#1 it was not signed",
            "Ended shaky failed: it was not signed",
        ];
        assert_eq!(lines, expected);
        assert_eq!(history.left_out, 0);
        assert!(history.entries.is_sorted_by_key(|entry| entry.at));
    })
    .await;
}

#[tokio::test]
async fn who_signed_and_who_cancelled_is_told() {
    everywhere(async |orchestrator, clock| {
        let signed = orchestrator.start::<Shaky>(1).await.unwrap().id();
        let cancelled = orchestrator.start::<Shaky>(1).await.unwrap().id();
        passes(&orchestrator, &clock, 3).await;
        orchestrator.acting_for("ada").signal(signed, "go", true).await.unwrap();
        orchestrator.acting_for("bob").cancel(cancelled, "enough").await.unwrap();
        passes(&orchestrator, &clock, 1).await;
        let last = async |run| {
            let entries = orchestrator.history(run).await.unwrap().entries;
            entries[entries.len() - 3..].iter().map(shown).collect::<Vec<_>>()
        };
        assert_eq!(last(signed).await, ["Finished shaky", "Signalled shaky go ada", "Ended finished"]);
        let expected = ["Waits shaky#3 go", "Cancelled enough bob", "Ended cancelled: enough"];
        assert_eq!(last(cancelled).await, expected);
    })
    .await;
}

#[tokio::test]
async fn a_run_without_an_error_stores_nothing_for_it() {
    use HistoryKind::{Begun, Ended, Entered, Finished, Started};
    everywhere(async |orchestrator, clock| {
        let run = orchestrator.start::<Plain>(1).await.unwrap().id();
        passes(&orchestrator, &clock, 1).await;
        let all = [Started, Begun, Entered, Finished, Entered, Finished, Ended];
        assert_eq!(kinds(&orchestrator, run).await.len(), all.len());
        assert!(all.iter().all(|kind| matches!(kind, Started | Begun | Entered | Finished | Ended)));
    })
    .await;
    let repository = MemoryRepository::new();
    let clock = ManualClock::default();
    let orchestrator = build(Orchestrator::builder(repository.clone()), &clock);
    let run = orchestrator.start::<Plain>(1).await.unwrap().id();
    passes(&orchestrator, &clock, 1).await;
    let part = prorch::repository::Part::History { from: 0, limit: 10 };
    assert!(repository.get(run, part).await.unwrap().unwrap().history.is_empty());
}

#[tokio::test]
async fn a_call_that_was_cut_off_is_told() {
    let store = Arc::new(MemoryRepository::new());
    let clock = ManualClock::default();
    let sound = build(Orchestrator::builder((*store).clone()), &clock);
    let run = sound.start::<Plain>(1).await.unwrap().id();
    for _ in 0..2 {
        let dies = FaultyRepository::at(store.clone(), Fault::DiesBefore, 1);
        build(Orchestrator::builder(dies), &clock).execute_pipelines().await.unwrap_err();
        clock.advance(Duration::from_secs(31));
    }
    passes(&sound, &clock, 1).await;
    let entries = sound.history(run).await.unwrap().entries;
    let cut: Vec<_> = entries.iter().filter(|entry| entry.kind == HistoryKind::CutOff).map(shown).collect();
    assert_eq!(cut.len(), 1, "{entries:#?}");
    assert!(
        cut[0].starts_with("CutOff 2 calls in a row; this is what became of the next one worker "),
        "{cut:?}"
    );
}

#[tokio::test]
async fn it_is_bounded_and_can_be_switched_off() {
    let (clock, repository) = (ManualClock::default(), MemoryRepository::new());
    let with = |history: History| {
        let config = OrchestratorConfig::default().history(history);
        build(Orchestrator::builder(repository.clone()).config(config), &clock)
    };
    let short = with(History::new().most(12));
    let run = short.start::<Shaky>(1).await.unwrap().id();
    for _ in 0..20 {
        short.pause(run).await.unwrap();
        short.resume(run).await.unwrap();
    }
    let history = short.history(run).await.unwrap();
    assert_eq!((history.entries.len(), history.left_out), (1 + 12, 40 - 12), "and its start");
    for off in [with(History::off()), with(History::new().without::<Shaky>())] {
        let run = off.start::<Shaky>(1).await.unwrap().id();
        off.pause(run).await.unwrap();
        off.resume(run).await.unwrap();
        passes(&off, &clock, 3).await;
        let kinds = kinds(&off, run).await;
        let stored = [HistoryKind::Paused, HistoryKind::Resumed, HistoryKind::Erred, HistoryKind::Waits];
        assert!(kinds.iter().all(|kind| !stored.contains(kind)), "{kinds:?}");
        assert_eq!(kinds.len(), 5, "what the rows say is there all the same: {kinds:?}");
    }
}

#[tokio::test]
async fn a_run_that_is_not_there_has_none() {
    let orchestrator = build(Orchestrator::builder(MemoryRepository::new()), &ManualClock::default());
    let nobody = RunId::from_bytes([1; 16]);
    assert!(matches!(orchestrator.history(nobody).await, Err(Error::NotFound(run)) if run == nobody));
}
