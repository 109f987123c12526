//! Rows that somebody edited by hand into what no run can be, before a worker that runs.

use std::path::Path;
use std::time::{Duration, Instant};

use prorch::prelude::*;
use prorch::{Durability, RunId, Status};
use prorch_testkit::ManualClock;
use rusqlite::Connection;
use tracing::Level;

use crate::capture::{Told, listen, told};

/// Waits once, so that it has a record and a state.
#[step]
struct Twice {
    asked: bool,
}

impl Step for Twice {
    type Input = u64;
    type Output = u64;

    async fn on_start(&mut self, _: &u64, _: &StepContext) -> StepResult<u64> {
        self.asked = true;
        pending_for(Duration::from_secs(1))
    }

    async fn on_continue(&mut self, number: &u64, _: &StepContext) -> StepResult<u64> {
        if self.asked { finish(*number) } else { fail("its state is lost") }
    }
}

#[pipeline(name = "edited", steps = [Twice])]
struct Edited;

/// Nonsense for each column by which a run is read: the table, the column, and the value.
const EDITS: [(&str, &str, &str); 38] = [
    ("runs", "id", "x'07'"),
    ("runs", "definition", "99"),
    ("runs", "status", "77"),
    ("runs", "status", "-1"),
    ("runs", "paused", "7"),
    ("runs", "priority", "300"),
    ("runs", "crashes", "-5"),
    ("runs", "crashes", "99999999999"),
    ("runs", "holder", "x'07'"),
    ("runs", "lease_length", "5"),
    ("runs", "inbox_seq", "1, key = CAST(x'ff' AS TEXT)"),
    ("runs", "started_at", "started_at, stuck = CAST(x'ff' AS TEXT)"),
    ("runs", "key", "CAST(x'ff' AS TEXT)"),
    ("runs", "cause_kind", "99"),
    ("runs", "cause_step", "CAST(x'ff' AS TEXT)"),
    ("runs", "cause", "CAST(x'ff' AS TEXT)"),
    ("runs", "metadata", "'{oh'"),
    ("runs", "metadata", "CAST(x'ff' AS TEXT)"),
    ("runs", "input", "'no number'"),
    ("runs", "input", "CAST(x'ff' AS TEXT)"),
    ("runs", "output", "CAST(x'ff' AS TEXT)"),
    ("records", "position", "-1"),
    ("records", "position", "7 << 32"),
    ("records", "name", "'nobody'"),
    ("records", "name", "CAST(x'ff' AS TEXT)"),
    ("records", "status", "9"),
    ("records", "status", "2"),
    ("records", "resumable", "7"),
    ("records", "attempt", "-1"),
    ("records", "errors", "-1"),
    ("records", "state", "'{oh'"),
    ("records", "state", "CAST(x'ff' AS TEXT)"),
    ("records", "output", "CAST(x'ff' AS TEXT)"),
    ("records", "error", "CAST(x'ff' AS TEXT)"),
    ("records", "awaits", "CAST(x'ff' AS TEXT)"),
    ("records", "done", "1, awaits = CAST(x'ff' AS TEXT)"),
    ("records", "metadata", "'{oh'"),
    ("records", "metadata", "'[1]'"),
];

/// Columns in which a worker notes its own doings: it writes them anew, and then goes on with the run.
const MENDED: [&str; 3] = ["holder", "lease_length", "started_at"];

/// Longer than all that the clock is moved: no lease runs out because this machine is slow.
const LONG: Duration = Duration::from_secs(1_000_000);

fn open(path: &Path, clock: &ManualClock) -> Orchestrator {
    let repository = SqliteRepository::builder(path).durability(Durability::ProcessCrash).open().unwrap();
    Orchestrator::builder(repository)
        .config(OrchestratorConfig::default().lease(LONG).timeout(LONG))
        .clock(clock.clone())
        .pipeline::<Edited>()
        .build()
        .unwrap()
}

/// What was said of a run, which is marked so.
fn named(mark: &str) -> Vec<Told> {
    told(|told| told.level <= Level::WARN && told.has(mark))
}

/// Three runs in a file that have come to their wait, and the second edited.
async fn edited(path: &Path, clock: &ManualClock, edit: (&str, &str, &str)) -> ([RunId; 3], i64) {
    let orchestrator = open(path, clock);
    let mut runs = Vec::new();
    for number in 0..3 {
        runs.push(orchestrator.start::<Edited>(number).await.unwrap().id());
    }
    assert_eq!(orchestrator.execute_pipelines().await.unwrap().waiting, 3);
    drop(orchestrator);
    let hand = Connection::open(path).unwrap();
    hand.execute_batch("PRAGMA ignore_check_constraints = ON").unwrap();
    let place =
        hand.query_row("SELECT run FROM runs WHERE id = ?1", [runs[1].as_bytes()], |row| row.get(0)).unwrap();
    let (table, column, value) = edit;
    let sql = ["UPDATE ", table, " SET ", column, " = ", value, " WHERE run = ?1"].concat();
    assert_eq!(hand.execute(&sql, [place]).unwrap(), 1);
    (runs.try_into().unwrap(), place)
}

/// Moves the clock until the run was named and the others have ended, and then some minutes more, in which looks find the
/// same again. Says how often it was named until then.
async fn work(orchestrator: &Orchestrator, clock: &ManualClock, others: [RunId; 2], mark: &str) -> usize {
    let (mut looks, mut first) = (0, 0);
    let began = Instant::now();
    while looks < 15 && began.elapsed() < Duration::from_secs(20) {
        clock.advance(Duration::from_secs(61));
        tokio::time::sleep(Duration::from_millis(5)).await;
        let mut open = 0;
        for run in others {
            open += usize::from(!status(orchestrator, run).await.is_terminal());
        }
        let often = named(mark).len();
        if open == 0 && often > 0 {
            looks += 1;
            first = if looks == 1 { often } else { first };
        }
    }
    first
}

async fn status(orchestrator: &Orchestrator, run: RunId) -> Status {
    orchestrator.handle::<Edited>(run).await.unwrap().status().await.unwrap()
}

async fn check(edit: (&'static str, &'static str, &'static str)) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("runs.db");
    let clock = ManualClock::default();
    let (runs, place) = edited(&path, &clock, edit).await;
    let orchestrator = open(&path, &clock);
    let mut first = 0;
    let mark = if edit.1 == "id" { "without an id".to_owned() } else { runs[1].to_string() };
    let others = [runs[0], runs[2]];
    if edit.1 == "paused" {
        // A worker does not look at a run that rests; who lists the runs does.
        orchestrator.active_pipelines().await.unwrap();
    }
    let work = async { first = work(&orchestrator, &clock, others, &mark).await };
    let ended = orchestrator.run_until(work).await;
    ended.unwrap_or_else(|error| panic!("{edit:?}: the worker ended: {error}"));
    for run in others {
        assert_eq!(status(&orchestrator, run).await, Status::Finished, "{edit:?} harms another");
    }
    assert!(first > 0, "{edit:?} is not named");
    // Each connection to the file names a row once.
    let named = named(&mark);
    assert!(named.len() <= 4, "{edit:?} is named again and again: {named:#?}");
    let hand = Connection::open(&path).unwrap();
    let code: i64 =
        hand.query_row("SELECT status FROM runs WHERE run = ?1", [place], |row| row.get(0)).unwrap();
    let ended = (2..=4).contains(&code);
    assert_eq!(ended, MENDED.contains(&edit.1), "{edit:?}: its status is {code}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_of_nonsense_is_named_and_left_and_the_others_go_on() {
    listen();
    let (mut checks, mut edits, mut failed) = (tokio::task::JoinSet::new(), EDITS.iter(), 0);
    loop {
        while let Some(edit) = (checks.len() < 12).then(|| edits.next()).flatten() {
            checks.spawn(check(*edit));
        }
        let Some(done) = checks.join_next().await else { break };
        // What fell was told where it fell.
        failed += usize::from(done.is_err());
    }
    assert_eq!(failed, 0, "edits of {} fell", EDITS.len());
}
