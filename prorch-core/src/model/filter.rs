use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Definition, Run, RunId, Status, Text, Timestamp};

/// How many runs a page holds unless the filter says otherwise.
pub const DEFAULT_PAGE: usize = 100;

/// Which runs to find. Everything that is set must hold; an empty filter finds all.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// In one of these statuses; empty for any.
    pub statuses: Vec<Status>,
    /// Of the pipeline with this name.
    pub pipeline: Option<Text>,
    /// Of one of these definitions; none for any.
    pub definitions: Option<Vec<Definition>>,
    /// Of none of these definitions.
    pub other_than: Vec<Definition>,
    /// With this key.
    pub key: Option<Text>,
    /// Restarted from one of these runs; empty for any.
    pub origins: Vec<RunId>,
    /// Started by one of these runs; empty for any.
    pub parents: Vec<RunId>,
    /// Started by another run, or not.
    pub child: Option<bool>,
    /// With all of these names pinned to them, each with exactly this value.
    pub metadata: Vec<(String, Value)>,
    /// Started at this time or later.
    pub created_from: Option<Timestamp>,
    /// Started before this time.
    pub created_before: Option<Timestamp>,
    /// That ended at this time or later.
    pub ended_from: Option<Timestamp>,
    /// That ended before this time.
    pub ended_before: Option<Timestamp>,
    /// Being removed ([`Run::sealed`]), or not.
    pub sealed: Option<bool>,
    /// That a worker may claim at this time (idle and due, or held under a lease that ran out; not paused).
    pub due: Option<Timestamp>,
    /// Whose time to be claimed had come at this time, which is no later than that of `due`; only together with `due`.
    /// A lease that a foreign clock stamped has no such time: its run is found.
    pub due_by: Option<Timestamp>,
    /// Suspect of killing their workers ([`Run::is_suspect`]), or not.
    pub suspect: Option<bool>,
    /// Left by a worker that could not go on with them, or not.
    pub stuck: Option<bool>,
    /// In which order.
    pub order: Order,
    /// After the run at which an earlier page ended; only with [`Order::Started`], and with [`Order::Ended`] when
    /// `ended_from` is the time at which that run ended.
    pub after: Option<Cursor>,
    /// At most so many.
    pub limit: usize,
    /// Whether the page says how many runs there are in all.
    pub total: bool,
}

/// The order of a [`Page`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// By id, which is the order in which the runs were started.
    #[default]
    Started,
    /// By priority, then by when they may be claimed. Runs that nothing makes claimable come last.
    Urgency,
    /// By when they may be claimed. Runs that nothing makes claimable come last.
    Due,
    /// By when they ended. Runs that have not come last.
    Ended,
}

/// Where a page ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor(pub RunId);

/// What a search found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The runs.
    pub runs: Vec<Run>,
    /// Where the next page begins; none when this was the last one.
    pub next: Option<Cursor>,
    /// How many runs match in all, when the filter asked for it.
    pub total: Option<u64>,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            statuses: Vec::new(),
            pipeline: None,
            definitions: None,
            other_than: Vec::new(),
            key: None,
            origins: Vec::new(),
            parents: Vec::new(),
            child: None,
            metadata: Vec::new(),
            created_from: None,
            created_before: None,
            ended_from: None,
            ended_before: None,
            sealed: None,
            due: None,
            due_by: None,
            suspect: None,
            stuck: None,
            order: Order::Started,
            after: None,
            limit: DEFAULT_PAGE,
            total: false,
        }
    }
}

impl Filter {
    /// All runs.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// The runs that are created or pending.
    #[must_use]
    pub fn active() -> Self {
        Self::default().statuses(Status::ACTIVE)
    }

    /// In one of these statuses.
    #[must_use]
    pub fn statuses(mut self, statuses: impl IntoIterator<Item = Status>) -> Self {
        self.statuses = statuses.into_iter().collect();
        self
    }

    /// Of the pipeline with this name.
    #[must_use]
    pub fn pipeline(mut self, name: impl Into<String>) -> Self {
        self.pipeline = Some(name.into().into());
        self
    }

    /// With this key.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into().into());
        self
    }

    /// Restarted from this run: those that took over what it had finished.
    #[must_use]
    pub fn restarted_from(mut self, run: RunId) -> Self {
        self.origins = vec![run];
        self
    }

    /// With this value pinned to it under this name.
    #[must_use]
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.push((name.into(), value.into()));
        self
    }

    /// At most so many.
    #[must_use]
    pub const fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// After the run at which an earlier page ended.
    #[must_use]
    pub const fn after(mut self, cursor: Option<Cursor>) -> Self {
        self.after = cursor;
        self
    }

    /// With the number of runs that match in all, at the cost of counting them.
    #[must_use]
    pub const fn with_total(mut self) -> Self {
        self.total = true;
        self
    }

    /// Whether `run` is one of those to find. Where the last page ended, the order and the limit say nothing of it.
    #[must_use]
    pub fn matches(&self, run: &Run) -> bool {
        (self.statuses.is_empty() || self.statuses.contains(&run.status()))
            && self.pipeline.as_ref().is_none_or(|name| *name == run.definition.pipeline)
            && self.definitions.as_ref().is_none_or(|known| known.contains(&run.definition))
            && !self.other_than.contains(&run.definition)
            && self.key.as_ref().is_none_or(|key| run.key.as_ref() == Some(key))
            && is_among(&self.origins, run.origin.as_ref().map(|origin| origin.run))
            && is_among(&self.parents, run.parent.map(|parent| parent.run))
            && self.child.is_none_or(|child| run.parent.is_some() == child)
            && self.metadata.iter().all(|(name, value)| run.state.metadata.get(name) == Some(value))
            && self.created_from.is_none_or(|from| from <= run.created_at)
            && self.created_before.is_none_or(|before| run.created_at < before)
            && self.ended_from.is_none_or(|from| run.state.ended_at.is_some_and(|at| from <= at))
            && self.ended_before.is_none_or(|before| run.state.ended_at.is_some_and(|at| at < before))
            && self.sealed.is_none_or(|sealed| run.sealed == sealed)
            && self.due.is_none_or(|now| run.is_due(now) && self.came_in_time(run, now))
            && self.suspect.is_none_or(|suspect| run.is_suspect() == suspect)
            && self.stuck.is_none_or(|stuck| run.state.stuck.is_some() == stuck)
    }

    /// Whether the run comes after the one at which the last page ended.
    pub(crate) fn is_after(&self, run: &Run) -> bool {
        match (self.order, self.after, self.ended_from) {
            (Order::Started, Some(Cursor(last)), _) => run.id > last,
            (Order::Ended, Some(Cursor(last)), Some(from)) => {
                (run.state.ended_at, run.id) > (Some(from), last)
            }
            _ => true,
        }
    }

    /// Whether the run, which is due `now`, was due by the time that is asked for.
    fn came_in_time(&self, run: &Run, now: Timestamp) -> bool {
        let came = |by| run.claimable_at().is_some_and(|at| at <= by || now < at);
        self.due_by.is_none_or(came)
    }

    /// The page that this filter finds in `runs`, which come in any order: what a search means.
    #[must_use]
    pub fn page<'a>(&self, runs: impl Iterator<Item = &'a Run>) -> Page {
        let mut found: Vec<&Run> = runs.filter(|run| self.matches(run)).collect();
        let total = self.total.then_some(found.len() as u64);
        let never = Timestamp::MAX;
        match self.order {
            Order::Started => found.sort_by_key(|run| run.id),
            Order::Urgency => {
                found.sort_by_key(|run| (run.priority, run.claimable_at().unwrap_or(never), run.id));
            }
            Order::Due => found.sort_by_key(|run| (run.claimable_at().unwrap_or(never), run.id)),
            Order::Ended => found.sort_by_key(|run| (run.state.ended_at.unwrap_or(never), run.id)),
        }
        found.retain(|run| self.is_after(run));
        let more = found.len() > self.limit;
        found.truncate(self.limit);
        let next =
            if more && self.order == Order::Started { found.last().map(|run| Cursor(run.id)) } else { None };
        Page { runs: found.into_iter().cloned().collect(), next, total }
    }
}

/// Whether it is one of these, if they are any.
fn is_among(these: &[RunId], run: Option<RunId>) -> bool {
    these.is_empty() || run.is_some_and(|run| these.contains(&run))
}
