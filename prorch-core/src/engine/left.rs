use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use super::Shared;
use super::wake::Inbound;
use super::worker::Worker;
use crate::model::{Filter, Order, Page, Run, RunId, Text, Timestamp};
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
pub(super) async fn left(shared: &Shared, now: Timestamp) -> Result<Left, StoreError> {
    let definitions = shared.catalog.definitions();
    let unknown = Filter {
        other_than: definitions.to_vec(),
        due: Some(now),
        order: Order::Due,
        limit: NAMED,
        ..Filter::active()
    };
    let stuck = Filter { stuck: Some(true), limit: NAMED, ..Filter::active() };
    let names: BTreeSet<&str> = definitions.iter().map(|definition| &*definition.pipeline).collect();
    let unknown = search(shared, &unknown).await?.runs.into_iter().map(|run| {
        let why = unknown_because(&run, &names);
        LeftRun { id: run.id, pipeline: run.definition.pipeline, why }
    });
    let stuck = search(shared, &stuck).await?.runs.into_iter().map(|run| {
        let why = run.state.stuck.unwrap_or_default();
        LeftRun { id: run.id, pipeline: run.definition.pipeline, why }
    });
    Ok(Left { unknown: unknown.collect(), stuck: stuck.collect() })
}

/// Searches; a pass that has done its work must not fail by what passes.
async fn search(shared: &Shared, filter: &Filter) -> Result<Page, StoreError> {
    Ok(ask(|| shared.repository.search(filter)).await?.answer)
}

fn unknown_because(run: &Run, known: &BTreeSet<&str>) -> Text {
    let name = &run.definition.pipeline;
    Text::from(if known.contains(name.as_str()) {
        format!("it was started with another list of steps than the pipeline `{name}` has here")
    } else {
        format!(
            "no pipeline `{name}` is known here: write `.pipeline::<…>()` where the orchestrator is built, or run it by \
             a program that has the pipeline"
        )
    })
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
            let left = left(&shared, shared.time.now()).await;
            // The worker may have ended meanwhile.
            let _ = sender.send(Inbound::Left(left));
        });
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
