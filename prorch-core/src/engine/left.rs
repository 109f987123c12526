use std::collections::HashSet;
use std::time::Duration;

use super::Shared;
use super::adopt::{grace, standing};
use super::wake::Inbound;
use super::worker::{Mode, Worker};
use crate::model::{Filter, Order, Page, Run, RunId, Text, Timestamp};
use crate::registry::Judgement;
use crate::repository::{StoreError, ask};

/// How many runs are named at the most.
const NAMED: usize = 100;
/// How often a worker looks for runs that nobody here can go on with.
const LOOK_EVERY: Duration = Duration::from_secs(600);
/// So much is remembered of what a worker has named; then all is forgotten, and named once more.
const REMEMBERED: usize = 1_000;

/// A run that is left as it is, because nobody here can go on with it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LeftRun {
    /// The run.
    pub id: RunId,
    /// The name of its pipeline.
    pub pipeline: Text,
    /// Why it is left.
    pub why: Text,
}

/// The runs that are left.
#[derive(Debug)]
pub(super) struct Left {
    /// Those of a pipeline, or of a list of steps, that is unknown here.
    unknown: Vec<LeftRun>,
    /// Those that a worker could not read.
    stuck: Vec<LeftRun>,
}

impl Left {
    /// All of them, as many as are named.
    pub(super) fn into_runs(self) -> Vec<LeftRun> {
        self.unknown.into_iter().chain(self.stuck).take(NAMED).collect()
    }
}

/// Reads which runs are left.
pub(super) async fn left(shared: &Shared, mode: Mode, now: Timestamp) -> Result<Left, StoreError> {
    let unknown = Filter {
        other_than: shared.catalog.definitions().to_vec(),
        due: Some(now),
        order: Order::Due,
        limit: NAMED,
        ..Filter::active()
    };
    let stuck = Filter { stuck: Some(true), limit: NAMED, ..Filter::active() };
    let mut left = Left { unknown: Vec::new(), stuck: Vec::new() };
    for run in search(shared, &unknown).await?.runs {
        let (id, pipeline) = (run.id, run.definition.pipeline.clone());
        let why = unknown_because(shared, mode, run).await?;
        left.unknown.extend(why.map(|why| LeftRun { id, pipeline, why }));
    }
    left.stuck.extend(search(shared, &stuck).await?.runs.into_iter().map(|run| {
        let why = run.state.stuck.unwrap_or_default();
        LeftRun { id: run.id, pipeline: run.definition.pipeline, why }
    }));
    Ok(left)
}

/// Searches; a pass that has done its work must not fail by what passes.
async fn search(shared: &Shared, filter: &Filter) -> Result<Page, StoreError> {
    Ok(ask(|| shared.repository.search(filter)).await?.answer)
}

/// Why a run is left whose list is not known here; none when a worker is about to go on with it.
async fn unknown_because(shared: &Shared, mode: Mode, run: Run) -> Result<Option<Text>, StoreError> {
    match shared.catalog.judge(&run.definition) {
        Judgement::Foreign => Ok(Some(foreign(&run.definition.pipeline))),
        Judgement::Differs(why) => Ok(Some(why)),
        Judgement::Fits(found) => {
            let Some((_, differs)) = standing(shared, run, &found).await? else { return Ok(None) };
            let soon = || matches!(mode, Mode::Pass(_)).then(|| goes_on(shared));
            Ok(differs.or_else(soon))
        }
    }
}

fn foreign(name: &str) -> Text {
    Text::from(format!(
        "no pipeline `{name}` is known here: write `.pipeline::<…>()` where the orchestrator is built, or run it by \
         a program that has the pipeline"
    ))
}

fn goes_on(shared: &Shared) -> Text {
    Text::from(format!(
        "it was started with another list of steps, and goes on here by that list when it has been due for {:?} and no \
         worker of its own program has taken it",
        grace(shared)
    ))
}

/// What a worker has said of runs that are left. A run is looked at again and again; it is named once.
#[derive(Debug, Default)]
pub(super) struct Named {
    pipelines: HashSet<(Text, Text)>,
    runs: HashSet<RunId>,
    /// When the worker looks for such runs again, by the clock's `elapsed`.
    next_look: Duration,
}

impl Worker {
    /// Reads which runs are left, if that was not done for long.
    pub(super) fn look_for_left(&mut self) {
        let elapsed = self.shared.clock.elapsed();
        if elapsed < self.named.next_look {
            return;
        }
        self.named.next_look = elapsed + LOOK_EVERY;
        let (shared, sender) = (self.shared.clone(), self.sender.clone());
        tokio::spawn(async move {
            let left = left(&shared, Mode::Worker, shared.time.now()).await;
            // The worker may have ended meanwhile.
            let _ = sender.send(Inbound::Left(left));
        });
    }

    /// Reads at the next time that nothing is due which runs are left: some were met that are not known here.
    pub(super) fn name_soon(&mut self) {
        self.named.next_look = Duration::ZERO;
    }

    pub(super) fn on_left(&mut self, left: Result<Left, StoreError>) {
        match left {
            Ok(left) => {
                left.unknown.into_iter().for_each(|run| self.name_pipeline(run));
                let told = "what is stored as its `stuck` says why";
                left.stuck.into_iter().for_each(|run| self.name_run(run.id, &run.pipeline, told));
            }
            Err(error) => tracing::debug!(%error, "it can't be read which runs are left"),
        }
    }

    /// Names a pipeline whose runs are left. There may be any number of them.
    fn name_pipeline(&mut self, run: LeftRun) {
        let LeftRun { id, pipeline, why } = run;
        if self.named.pipelines.len() >= REMEMBERED {
            self.named.pipelines.clear();
        }
        if self.named.pipelines.insert((pipeline.clone(), why.clone())) {
            tracing::warn!(prorch.pipeline = %pipeline, prorch.run = %id, %why, "runs are due and left as they are, this one for example");
        }
    }

    /// Names a run that is left. What is said of it here has no part of a payload in it.
    pub(super) fn name_run(&mut self, id: RunId, pipeline: &str, why: &str) {
        if self.named.runs.len() >= REMEMBERED {
            self.named.runs.clear();
        }
        if self.named.runs.insert(id) {
            tracing::warn!(prorch.run = %id, prorch.pipeline = pipeline, why, "a run is left as it is");
        }
    }
}
