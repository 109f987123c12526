use std::collections::BTreeSet;

use super::Shared;
use crate::model::{Filter, Order, Run, RunId, Text, Timestamp};
use crate::repository::StoreError;

/// How many runs are named at the most.
const NAMED: usize = 100;

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

/// The runs that are left: those of a pipeline, or of a list of steps, that is unknown here, and those that a worker
/// could not read.
pub(super) async fn left(shared: &Shared, now: Timestamp) -> Result<Vec<LeftRun>, StoreError> {
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
    let mut left: Vec<LeftRun> = Vec::new();
    for run in shared.repository.search(&unknown).await?.runs {
        let why = unknown_because(&run, &names);
        left.push(LeftRun { id: run.id, pipeline: run.definition.pipeline, why });
    }
    for run in shared.repository.search(&stuck).await?.runs {
        let why = run.state.stuck.unwrap_or_default();
        left.push(LeftRun { id: run.id, pipeline: run.definition.pipeline, why });
    }
    left.truncate(NAMED);
    Ok(left)
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
