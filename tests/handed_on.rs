//! What stages hand on: how much that may be together, and how often it is put together.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use prorch::prelude::*;
use prorch::repository::{CauseKind, MemoryRepository, Repository, Text};
use prorch::{Error, Status};
use prorch_testkit::soak;

/// Ten of these are 60 MiB of JSON, eleven are more than 64 MiB.
const PAGE: usize = 6 << 20;

#[step]
async fn pages(number: usize) -> StepResult<Vec<u8>> {
    finish((0..number).map(|_| b'x').collect())
}

#[step]
async fn page(letter: u8) -> StepResult<String> {
    finish(String::from(char::from(letter)).repeat(PAGE))
}

#[step]
async fn bind(pages: Vec<String>) -> StepResult<usize> {
    finish(pages.iter().map(String::len).sum())
}

#[pipeline(steps = [pages, each(page), bind])]
struct Book;

async fn a_book_is_bound_up_to_64_mib(repository: impl Repository) {
    let orchestrator = Orchestrator::builder(repository)
        .config(OrchestratorConfig::default().max_payload(PAGE + 2))
        .pipeline::<Book>()
        .build()
        .unwrap();
    let thick = orchestrator.start::<Book>(11).await.unwrap();
    orchestrator.execute_pipelines().await.unwrap();
    let Err(Error::Failed { cause, .. }) = thick.wait().await else { panic!("it is too thick") };
    assert_eq!((cause.kind, cause.step), (CauseKind::Refused, Some(Text::from("bind"))));
    assert_eq!(
        cause.text.as_str(),
        "what the stage before hands on together has more than 64 MiB of JSON: let its steps hand on paths or keys"
    );
    let stored = orchestrator.get(thick.id()).await.unwrap().unwrap();
    let finished = stored.records.values().filter(|record| record.status == Status::Finished).count();
    assert_eq!(finished, 12, "what was done stays");
    if soak::is_long() {
        let thin = orchestrator.start::<Book>(10).await.unwrap();
        orchestrator.execute_pipelines().await.unwrap();
        assert_eq!(thin.wait().await.unwrap(), 10 * PAGE);
    }
}

#[tokio::test]
async fn what_is_longer_than_64_mib_together_fails_the_run_by_name() {
    a_book_is_bound_up_to_64_mib(MemoryRepository::new()).await;
    if soak::is_long() {
        a_book_is_bound_up_to_64_mib(SqliteRepository::open_in_memory().unwrap()).await;
    }
}

/// What turns into a list of numbers, and is none.
#[derive(serde::Serialize, serde::Deserialize)]
struct Sheet {
    of: u64,
}

/// How often each was turned into a list.
static TURNED: Mutex<BTreeMap<u64, u32>> = Mutex::new(BTreeMap::new());

impl From<Sheet> for Vec<u64> {
    fn from(sheet: Sheet) -> Self {
        *TURNED.lock().unwrap_or_else(PoisonError::into_inner).entry(sheet.of).or_default() += 1;
        (0..10).map(|row| sheet.of + row).collect()
    }
}

#[step]
async fn sheet(of: u64) -> StepResult<Sheet> {
    finish(Sheet { of })
}

#[pipeline(output = Vec<u64>, steps = [sheet])]
struct Opened;

#[step]
async fn copy(row: u64) -> StepResult<u64> {
    finish(row)
}

#[pipeline(steps = [copy])]
struct Copied;

#[pipeline(steps = [run(Opened), each(run(Copied), concurrency = 1)])]
struct Rows;

/// A run is given back while it waits for the ten runs that it starts one after the other; with other runs in between.
#[tokio::test]
async fn a_worker_takes_a_list_apart_once_however_often_its_run_comes_back() {
    let orchestrator = Orchestrator::builder(MemoryRepository::new()).pipeline::<Rows>().build().unwrap();
    let one = orchestrator.start::<Rows>(100).await.unwrap();
    let other = orchestrator.start::<Rows>(200).await.unwrap();
    let both = async { (one.wait().await.unwrap(), other.wait().await.unwrap()) };
    let (one, other) = orchestrator_until(&orchestrator, both).await;
    assert_eq!((one, other), ((100..110).collect::<Vec<u64>>(), (200..210).collect::<Vec<u64>>()));
    let turned = TURNED.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert_eq!(turned, BTreeMap::from([(100, 1), (200, 1)]));
}

/// What `work` brings, while a worker works.
async fn orchestrator_until<T>(orchestrator: &Orchestrator, work: impl Future<Output = T>) -> T {
    let mut brought = None;
    orchestrator.run_until(async { brought = Some(work.await) }).await.unwrap();
    brought.unwrap()
}
