//! Four steps: each of them fails or cancels the run, the undoing of each errs for a while or for good, and the worker is
//! cut off at every write.

use prorch::Status;
use prorch::prelude::*;
use prorch::repository::{CauseKind, MemoryRepository, Repository, StoredRun, UndoPhase};
use prorch_testkit::soak::{pick, say};
use prorch_testkit::sweep::Swept;
use serde::{Deserialize, Serialize};

use crate::world::{Counts, Effects, World, of, sweep, undone};

/// What happens on the way; steps are counted from 1.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Script {
    /// The step that ends the run, and how.
    last: u32,
    end: End,
    /// Which undoing fails, and how.
    trouble: Option<(u32, Trouble)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum End {
    Fails,
    Cancels,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Trouble {
    /// It errs the first time.
    Passes,
    /// It says that it can't be done.
    ForGood,
}

#[step(retry(max_attempts = 2, backoff = "1s..1s"))]
struct Leg;

impl Step for Leg {
    type Input = Script;
    type Output = Script;

    async fn on_start(&mut self, script: &Script, cx: &StepContext) -> StepResult<Script> {
        cx.resource::<World>()?.does(cx);
        match script.end {
            _ if number(cx) < script.last => finish(*script),
            End::Fails => fail("no way on"),
            End::Cancels => cancel("no way on"),
        }
    }

    async fn compensate(
        &mut self,
        script: &Script,
        output: Option<&Script>,
        cx: &StepContext,
    ) -> StepResult<()> {
        let (times, number) = (cx.resource::<World>()?.does(cx), number(cx));
        assert_eq!(cx.idempotency_key().to_string(), format!("{}/undo", cx.step_key()));
        if output.is_some() != (number < script.last) {
            return fail(format!("step {number} gets {output:?}"));
        }
        match script.trouble.filter(|(at, _)| *at == number) {
            Some((_, Trouble::ForGood)) => fail("it is gone"),
            Some((_, Trouble::Passes)) if times == 1 => Err("try again".into()),
            _ => finish(()),
        }
    }
}

fn number(cx: &StepContext) -> u32 {
    cx.step_name().strip_prefix("Leg#").map_or(1, |number| number.parse().unwrap())
}

fn name(number: u32) -> String {
    if number == 1 { "Leg".to_owned() } else { format!("Leg#{number}") }
}

#[pipeline(steps = [Leg, Leg, Leg, Leg], on_failure = compensate, on_cancel = compensate)]
struct Tour;

impl Script {
    /// Each step that ends the run, in both ways; and for each of those each undoing that fails, in both ways, or none.
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for last in 1..=4 {
            for end in [End::Fails, End::Cancels] {
                all.push(Self { last, end, trouble: None });
                let troubles = (1..=last).flat_map(|at| [(at, Trouble::Passes), (at, Trouble::ForGood)]);
                all.extend(troubles.map(|trouble| Self { last, end, trouble: Some(trouble) }));
            }
        }
        all
    }

    /// The first step that is not undone any more, counted from the last.
    fn stops_at(&self) -> Option<u32> {
        self.trouble.filter(|(_, trouble)| *trouble == Trouble::ForGood).map(|(at, _)| at)
    }

    /// How often each call is made when nothing else happens.
    fn calls(&self) -> Counts {
        let errs = |number| self.trouble == Some((number, Trouble::Passes));
        let done = (1..=self.last).map(|number| (name(number), 1));
        let first = self.stops_at().unwrap_or(1);
        let undone =
            (first..=self.last).map(|number| (format!("{}/undo", name(number)), 1 + u32::from(errs(number))));
        done.chain(undone).collect()
    }

    fn check(&self, swept: &Swept, effects: &Effects) {
        let stored = of(&swept.stored, "Tour");
        let order =
            (self.stops_at().unwrap_or(1)..=self.last).rev().map(|number| format!("{}/undo", name(number)));
        assert_eq!(effects.undone, order.collect::<Vec<_>>(), "the last one first");
        self.check_end(stored);
        let (last, first) = (self.last as usize, self.stops_at().unwrap_or(1) as usize);
        let ends = (1..=last).map(|number| match number {
            _ if number < first => None,
            _ if Some(number as u32) == self.stops_at() => Some(Status::Failed),
            _ => Some(Status::Finished),
        });
        assert_eq!(undone(stored), ends.collect::<Vec<_>>());
        assert_eq!(stored.records.values().filter(|record| record.output.is_some()).count(), last - 1);
    }

    fn check_end(&self, stored: &StoredRun) {
        let state = &stored.run.state;
        let cause = state.cause.as_ref().unwrap();
        let phase = state.undo_phase();
        match (self.stops_at(), self.end) {
            (None, End::Fails) => {
                let end = (state.status, cause.kind, phase);
                assert_eq!(end, (Status::Failed, CauseKind::Error, Some(UndoPhase::Undone)));
            }
            (None, End::Cancels) => {
                let end = (state.status, cause.kind, phase);
                assert_eq!(end, (Status::Cancelled, CauseKind::Cancelled, Some(UndoPhase::Undone)));
            }
            (Some(at), _) => {
                let end = (state.status, cause.kind, phase);
                assert_eq!(end, (Status::Failed, CauseKind::Undo, Some(UndoPhase::Stuck)));
                let left: Vec<String> = (1..=at).rev().map(|number| format!("`{}`", name(number))).collect();
                let named = format!(
                    "it is gone; not undone: {}; it was undone because of: no way on",
                    left.join(", ")
                );
                assert!(cause.text.contains(&named), "{}", cause.text);
            }
        }
        let step = self.stops_at().unwrap_or(self.last);
        assert_eq!(cause.step.as_deref(), Some(&*name(step)));
    }
}

/// Sweeps over each of the scripts, on a new store for each life.
async fn sweep_all<R: Repository>(open: impl AsyncFn() -> R, scripts: impl Iterator<Item = Script>) -> u64 {
    let mut lives = 0;
    for script in scripts {
        let check = |swept: &Swept, effects: &Effects| script.check(swept, effects);
        let happened = sweep::<Tour, R>(&open, script, &script.calls(), check).await;
        // A save, a claim, an answer to each call; each of six faults at each.
        let writes = 2 + u64::from(script.calls().values().sum::<u32>());
        assert!(happened >= 6 * writes, "{script:?}: {happened} faults");
        lives += happened;
    }
    lives
}

/// Every seventh script; in the long form all of them.
#[tokio::test]
async fn every_crash_of_every_script_on_the_memory_repository() {
    let lives =
        sweep_all(async || MemoryRepository::new(), Script::all().into_iter().step_by(pick(7, 1))).await;
    say(&format!("four steps undone, memory: {lives} lives with a fault"));
}

/// In memory and every seventeenth script; in the long form all of them, in files.
#[cfg(feature = "sqlite")]
#[tokio::test]
async fn every_crash_of_every_script_on_sqlite() {
    use std::sync::atomic::{AtomicU32, Ordering};

    let directory = tempfile::tempdir().unwrap();
    let files = AtomicU32::new(0);
    let open = async || {
        let path = || directory.path().join(format!("{}.db", files.fetch_add(1, Ordering::SeqCst)));
        let opened = match pick(None, Some(path)) {
            None => SqliteRepository::open_in_memory(),
            Some(path) => SqliteRepository::open(path()),
        };
        opened.unwrap()
    };
    let scripts = Script::all().into_iter().skip(pick(3, 0)).step_by(pick(17, 1));
    let lives = sweep_all(open, scripts).await;
    say(&format!("four steps undone, SQLite: {lives} lives with a fault"));
}
