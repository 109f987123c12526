//! Removes trees of runs that have ended, in batches that a store can bear beside its work.
//!
//! Whatever this is cut off at, what is left can be removed by the next one: a run is sealed before anything below it is
//! removed, and goes after all of that. So the root of what is half removed is there, sealed, and is found by that. Two that
//! do it at once do no harm: each removal is guarded by the run's epoch, and what is gone is gone.

mod batch;
mod tree;

use std::collections::HashSet;
use std::sync::Arc;

use super::{LeftRun, Shared};
use crate::config::Retention;
use crate::model::{Cursor, Filter, Run, RunId, Status, Text};
use crate::repository::{StoreError, ask};

/// How many runs are read at a time, and removed in one batch, at the most.
pub(super) const MOST: usize = 500;
/// How many are read at first; then as many as [`MOST_BYTES`] hold.
const FIRST: usize = 64;
/// A page of runs should not have more bytes of inputs and outputs, nor should those that go in one batch.
pub(super) const MOST_BYTES: usize = 8 << 20;
/// How many runs that stay are named.
const NAMED: usize = 100;

/// What a prune did.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct PruneReport {
    /// Runs that are gone, those too that others had started.
    pub runs: u64,
    /// Runs that are old enough and stay for now, with what hangs on them.
    pub kept: u64,
    /// The first hundred of those, and why they stay.
    pub left: Vec<LeftRun>,
}

/// One sweep over everything that may go.
pub(crate) struct Sweep {
    shared: Arc<Shared>,
    report: PruneReport,
    /// How many runs the next page holds.
    page: usize,
    /// How many runs the next batch removes.
    group: usize,
}

/// A page of runs, without their payloads.
struct Found {
    runs: Vec<Run>,
    is_last: bool,
}

/// By what one run comes from another.
#[derive(Clone, Copy, Debug)]
enum Kin {
    Children,
    Restarted,
}

impl Sweep {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, report: PruneReport::default(), page: FIRST, group: FIRST }
    }

    /// Removes all that these rules let go, and what an earlier sweep has begun with.
    pub(crate) async fn run(mut self, rules: &[Retention]) -> Result<PruneReport, StoreError> {
        self.go_on_with_sealed().await?;
        let now = self.shared.time.now();
        for filter in rules.iter().flat_map(|rule| rule.filters(now)) {
            self.remove_all(filter).await?;
        }
        Ok(self.report)
    }

    /// What an earlier sweep has begun with goes whatever the rules say now: nobody can go on with it any more.
    async fn go_on_with_sealed(&mut self) -> Result<(), StoreError> {
        let mut filter = Filter { sealed: Some(true), child: Some(false), ..Filter::all() };
        loop {
            let roots = self.page(&filter).await?.runs;
            let Some(last) = roots.last().map(|run| run.id) else { return Ok(()) };
            for root in roots {
                self.remove_tree(root).await?;
            }
            filter.after = Some(Cursor(last));
        }
    }

    /// Removes the trees whose roots the filter finds; each is looked at once.
    async fn remove_all(&mut self, mut filter: Filter) -> Result<(), StoreError> {
        loop {
            let roots = self.page(&filter).await?.runs;
            let Some(last) = roots.last() else { return Ok(()) };
            (filter.ended_from, filter.after) = (last.state.ended_at, Some(Cursor(last.id)));
            self.remove_roots(roots).await?;
        }
    }

    /// Most runs have started none, and none was restarted from them: those go together.
    async fn remove_roots(&mut self, roots: Vec<Run>) -> Result<(), StoreError> {
        let ids: Vec<RunId> = roots.iter().map(|run| run.id).collect();
        let origins = self.those_with(Kin::Restarted, &ids).await?;
        let parents = self.those_with(Kin::Children, &ids).await?;
        let (mut leaves, mut trees) = (Vec::new(), Vec::new());
        // Those that are sealed were looked at first.
        for root in roots.into_iter().filter(|root| !root.sealed) {
            if parents.contains(&root.id) {
                trees.push(root);
            } else if origins.contains(&root.id) {
                self.keep(&root, RESTARTED);
            } else {
                leaves.push(root);
            }
        }
        for run in self.remove_batch(leaves).await? {
            self.keep(&run, CHANGED);
        }
        for root in trees {
            self.remove_tree(root).await?;
        }
        Ok(())
    }

    /// Those of the runs that others come from.
    async fn those_with(&mut self, kin: Kin, runs: &[RunId]) -> Result<HashSet<RunId>, StoreError> {
        let (mut found, mut others) = (HashSet::new(), runs.to_vec());
        while !others.is_empty() {
            let page = self.page(&kin.of(&others)).await?;
            found.extend(page.runs.iter().filter_map(|run| kin.source(run)));
            if page.is_last {
                break;
            }
            others.retain(|run| !found.contains(run));
        }
        Ok(found)
    }

    /// The first that the filter finds. From what came it is learnt how many to ask for next.
    async fn page(&mut self, filter: &Filter) -> Result<Found, StoreError> {
        let filter = Filter { limit: self.page, ..filter.clone() };
        let mut runs = ask(|| self.shared.repository.search(&filter)).await?.answer.runs;
        let is_last = runs.len() < filter.limit;
        self.page = next_page(self.page, &runs);
        runs.iter_mut().for_each(forget_payload);
        Ok(Found { runs, is_last })
    }

    /// Notes that a tree stays for now.
    fn keep(&mut self, root: &Run, why: &str) {
        self.report.kept += 1;
        if self.report.left.len() < NAMED {
            let pipeline = root.definition.pipeline.clone();
            self.report.left.push(LeftRun { id: root.id, pipeline, why: Text::from(why) });
        }
    }
}

/// Why a tree stays.
const RESTARTED: &str = "a run that was restarted from it, or from one below it, is there";
const CHANGED: &str = "it, or a run below it, was changed meanwhile";

impl Kin {
    fn of(self, runs: &[RunId]) -> Filter {
        let (parents, origins) = match self {
            Self::Children => (runs.to_vec(), Vec::new()),
            Self::Restarted => (Vec::new(), runs.to_vec()),
        };
        Filter { parents, origins, ..Filter::all() }
    }

    fn source(self, run: &Run) -> Option<RunId> {
        match self {
            Self::Children => run.parent.map(|parent| parent.run),
            Self::Restarted => run.origin.as_ref().map(|origin| origin.run),
        }
    }
}

/// How many runs the next page should hold, so that it has no more than so many bytes.
fn next_page(page: usize, runs: &[Run]) -> usize {
    let bytes: usize = runs.iter().map(bytes).sum();
    let fit = runs.len().max(1).saturating_mul(MOST_BYTES) / bytes.max(1);
    fit.min(page * 2).clamp(1, MOST)
}

fn bytes(run: &Run) -> usize {
    run.input.len() + run.state.output.as_ref().map_or(0, |output| output.len())
}

/// Several pages of runs are held at a time.
fn forget_payload(run: &mut Run) {
    run.input = Text::default();
    run.state.output = None;
}

fn is_open(run: &Run) -> bool {
    matches!(run.status(), Status::Created | Status::Pending)
}
