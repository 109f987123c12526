//! Lives of a run under a script, one for every fault at every write.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prorch::prelude::*;
use prorch::repository::{Filter, MemoryRepository, Part, Position, Repository, Run, StoredRun};
use prorch::testing::Clock;
use prorch::{Error, RunId, Status};
use prorch_testkit::ManualClock;
use prorch_testkit::faults::{Fault, FaultyRepository};
use prorch_testkit::soak::pick;

use crate::script::{At, Script, World, done};
use crate::told::{Told, Wait};

/// After so many passes a run that has not ended is given up.
const PASSES: u32 = 60;
/// Longer than a lease and a poll, shorter than the limit of a wait.
const A_WHILE: Duration = Duration::from_secs(3_600);
const A_MOMENT: Duration = Duration::from_secs(1);

/// What came of a life.
#[derive(Debug)]
pub(crate) struct Life {
    /// What happened at which write; none in the life that nothing happened in.
    pub(crate) fault: Option<(Fault, u64)>,
    /// The run as the program left it when it died.
    pub(crate) at_death: Option<StoredRun>,
    /// The run in the end.
    pub(crate) end: StoredRun,
    /// All calls, each with its attempt.
    pub(crate) made: Vec<(&'static str, u32)>,
    made_at_death: usize,
    /// Whether a call was under way when the program died: more were made than committed.
    is_cut_off: bool,
    /// How many calls were made and are committed, as the run knows.
    committed: usize,
    writes: u64,
}

impl Life {
    /// The names of the calls that were made, without the one that was cut off.
    pub(crate) fn answered(&self) -> Vec<&'static str> {
        let mut calls: Vec<_> = self.made.iter().map(|(call, _)| *call).collect();
        if self.is_cut_off {
            calls.remove(self.made_at_death - 1);
        }
        calls
    }

    /// How many calls were made after the program died.
    pub(crate) fn calls_since(&self) -> usize {
        self.made.len() - self.made_at_death
    }
}

/// How many calls were answered and the answers committed. A retry forgets two: those that erred, or the two of a step
/// that begins anew.
fn committed(stored: &StoredRun, is_mended: bool) -> usize {
    let is_failed = stored.run.status() == Status::Failed;
    let erred = match stored.current().last() {
        _ if is_mended && !is_failed => 2,
        Some(record) if record.status == Status::Failed => record.errors.max(1),
        Some(record) => record.errors,
        None => 0,
    };
    (done(stored).calls + erred) as usize
}

/// All lives of a run that waits like this and is told this, on a repository in memory and on SQLite, there in the short
/// form with fewer kinds of faults. `check` is given each. What must hold for all is checked here. Returns the one in which nothing happened.
pub(crate) async fn sweep(wait: Wait, script: &Script, check: impl Fn(&Life)) -> Life {
    let sqlite = async || SqliteRepository::open_in_memory().unwrap();
    let few = [Fault::DiesBefore, Fault::DiesAfter, Fault::AnswerLost];
    sweep_on(sqlite, pick(&few, &Fault::AT_A_WRITE), wait, script, &check).await;
    sweep_on(async || MemoryRepository::new(), &Fault::AT_A_WRITE, wait, script, &check).await
}

async fn sweep_on<R: Repository>(
    open: impl AsyncFn() -> R,
    faults: &[Fault],
    wait: Wait,
    script: &Script,
    check: &impl Fn(&Life),
) -> Life {
    let calm = live(open().await, wait, script, None).await;
    check(&calm);
    let mut cut_off: BTreeMap<Fault, usize> = BTreeMap::new();
    for fault in faults.iter().copied() {
        for write in 0..calm.writes {
            let life = live(open().await, wait, script, Some((fault, write))).await;
            let cut = usize::from(life.is_cut_off);
            assert_eq!(life.made.len(), life.committed + cut, "what is committed was made once: {life:#?}");
            check(&life);
            *cut_off.entry(fault).or_default() += cut;
        }
    }
    let told_in_calls = script.iter().filter(|(at, _)| matches!(at, At::Call(_))).count();
    let cut = [Fault::DiesBefore, Fault::DiesAfter].map(|fault| cut_off[&fault]);
    let expected = [calm.made.len() + told_in_calls, told_in_calls];
    assert_eq!(cut, expected, "each call is cut off before it is committed, and where it tells: {script:?}");
    calm
}

/// A run's life, in which this happens. When its program dies, another one goes on.
async fn live<R: Repository>(store: R, wait: Wait, script: &Script, fault: Option<(Fault, u64)>) -> Life {
    let (store, clock, world) = (Arc::new(store), ManualClock::default(), World::new(script));
    let (kind, write) = fault.unwrap_or((Fault::Refused, u64::MAX));
    let faulty = FaultyRepository::at(store.clone(), kind, write);
    let (mut at_death, mut made_at_death, mut is_cut_off) = (None, 0, false);
    let run = loop {
        let program = Orchestrator::builder(faulty.clone()).clock(clock.clone()).resource(world.clone());
        let program = program.pipeline::<Told>().build().unwrap();
        world.run_by(Some(program.clone()));
        let lived = program_lives(&program, &clock, &world, wait, at_death.as_ref()).await;
        world.run_by(None);
        let Err(error) = lived else { break lived.unwrap() };
        assert!(faulty.is_dead() && at_death.is_none(), "{fault:?} in {script:?}: {error}");
        at_death = only(&*store).await;
        made_at_death = world.made().len();
        let committed = at_death.as_ref().map(|stored| committed(stored, !world.is_broken()));
        is_cut_off = made_at_death > committed.unwrap_or_default();
        faulty.revive();
        clock.advance(Duration::from_millis(1));
    };
    faulty.settle().await;
    let end = whole(&*store, run).await;
    let committed = committed(&end, !world.is_broken());
    let (made, writes) = (world.made(), faulty.writes());
    Life { fault, at_death, end, made, made_at_death, is_cut_off, committed, writes }
}

/// A program's life: it starts the run, unless that was done, tells it what is to be told, and makes passes.
async fn program_lives(
    program: &Orchestrator,
    clock: &ManualClock,
    world: &World,
    wait: Wait,
    found: Option<&StoredRun>,
) -> Result<RunId, Error> {
    let run = program.start::<Told>(wait).key("swept").await?.id();
    if let Some(found) = found {
        world.tell_again(found).await?;
    }
    // What the one before did not come to tell is told at once: else it might come too late.
    let first = if found.is_some() { PASSES } else { 0 };
    for pass in first..first + PASSES {
        world.tell(At::Pass(pass), run).await?;
        let row = row(program, run).await?;
        if row.status() == Status::Failed {
            world.tell(At::Failed, run).await?;
        } else if row.state.paused {
            nothing_is_done(program, clock, world).await?;
            world.tell(At::Paused, run).await?;
        }
        let row = self::row(program, run).await?;
        if row.status().is_terminal() {
            return Ok(run);
        }
        let due = row.claimable_at().map_or(A_MOMENT, |at| at.saturating_since(clock.now()));
        clock.advance(if world.is_told() { due } else { due.min(A_WHILE) });
        program.execute_pipelines().await?;
    }
    panic!("it has not ended in {PASSES} passes: {:#?}", row(program, run).await?);
}

async fn nothing_is_done(program: &Orchestrator, clock: &ManualClock, world: &World) -> Result<(), Error> {
    let made = world.made();
    clock.advance(A_WHILE);
    program.execute_pipelines().await?;
    assert_eq!(world.made(), made, "it is paused");
    Ok(())
}

async fn row(program: &Orchestrator, run: RunId) -> Result<Run, Error> {
    let stored = program.get(run).await?;
    stored.map(|stored| stored.run).ok_or(Error::NotFound(run))
}

/// The one run of the store, if there is one.
async fn only(store: &impl Repository) -> Option<StoredRun> {
    let page = store.search(&Filter::all()).await.unwrap();
    assert!(page.runs.len() <= 1, "it was started twice: {page:?}");
    match page.runs.first() {
        Some(run) => Some(whole(store, run.id).await),
        None => None,
    }
}

/// The run with all its records and the messages that wait for it.
async fn whole(store: &impl Repository, run: RunId) -> StoredRun {
    let all = Part::Records { from: Position::default(), limit: 100 };
    let records = store.get(run, all).await.unwrap().unwrap();
    let work = store.get(run, Part::Work).await.unwrap().unwrap();
    StoredRun { inbox: work.inbox, ..records }
}
