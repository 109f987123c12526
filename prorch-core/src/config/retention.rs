use std::time::Duration;

use crate::error::Error;
use crate::model::{Filter, Order, Status, Text, Timestamp};
use crate::pipeline::Pipeline;

/// Which runs are removed when they have ended long enough ago: by [`Orchestrator::prune`](crate::orchestrator::Orchestrator::prune),
/// or by each worker on a schedule ([`OrchestratorConfig::retention`](super::OrchestratorConfig::retention)).
///
/// A run that was started by another one goes with that, whatever its own age and status: all runs of a tree are removed
/// when its root has ended, is old enough, and none of them is open any more. A run from which another one was restarted
/// stays as long as that one. With a run go its records, messages and history; its key is free from then on.
///
/// ```
/// # use std::time::Duration;
/// # use prorch_core::{config::Retention, model::Status};
/// const DAY: Duration = Duration::from_hours(24);
/// let finished = Retention::new().older_than(7 * DAY).status(Status::Finished);
/// let others = Retention::new().older_than(90 * DAY);
/// # let _ = (finished, others);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use = "it says what is to be removed, and removes nothing by itself"]
pub struct Retention {
    older_than: Duration,
    statuses: Vec<Status>,
    pipelines: Vec<Text>,
}

/// How long runs stay of which nothing is said.
const DEFAULT_AGE: Duration = Duration::from_hours(24 * 30);

impl Default for Retention {
    fn default() -> Self {
        Self { older_than: DEFAULT_AGE, statuses: Vec::new(), pipelines: Vec::new() }
    }
}

impl Retention {
    /// All runs that ended more than 30 days ago.
    pub fn new() -> Self {
        Self::default()
    }

    /// Those that ended longer ago than this, by the time that all processes on the store share.
    pub const fn older_than(mut self, age: Duration) -> Self {
        self.older_than = age;
        self
    }

    /// Those that ended like this; said again, those too. Unless it is said, all that ended.
    pub fn status(mut self, status: Status) -> Self {
        self.statuses.push(status);
        self
    }

    /// Those of this pipeline; said again, those too. Unless it is said, those of all, also of pipelines that are unknown
    /// here.
    pub fn pipeline<P: Pipeline>(mut self) -> Self {
        self.pipelines.push(Text::from(P::NAME));
        self
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.statuses.iter().find(|status| !status.is_terminal()) {
            None => Ok(()),
            Some(status) => Err(Error::Config(format!(
                "a retention of runs that are {status} would remove what may still go on: name `finished`, `failed` or \
                 `cancelled`"
            ))),
        }
    }

    /// The roots of the trees that are to go, in one search for each pipeline that is named.
    pub(crate) fn filters(&self, now: Timestamp) -> Vec<Filter> {
        let ends = Status::ALL.into_iter().filter(|status| status.is_terminal());
        let statuses = if self.statuses.is_empty() { ends.collect() } else { self.statuses.clone() };
        let of = |pipeline| Filter {
            statuses: statuses.clone(),
            pipeline,
            child: Some(false),
            ended_before: Some(now.saturating_sub(self.older_than)),
            order: Order::Ended,
            ..Filter::all()
        };
        let named: Vec<Filter> = self.pipelines.iter().map(|name| of(Some(name.clone()))).collect();
        if named.is_empty() { vec![of(None)] } else { named }
    }
}
