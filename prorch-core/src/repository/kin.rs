//! What a retention looks for, so that it does not pass over all runs: when they ended, and which come from which.

use std::collections::BTreeSet;

use super::{Filter, Order, Run, RunId, Timestamp};

const FIRST: RunId = RunId::from_bytes([0; 16]);
const LAST: RunId = RunId::from_bytes([0xff; 16]);

/// Where runs are that ended, or that come from others.
#[derive(Clone, Debug, Default)]
pub(super) struct Kin {
    /// Those that ended and were started by no other run.
    ended: BTreeSet<(Timestamp, RunId)>,
    /// Those that another run started, behind that.
    children: BTreeSet<(RunId, RunId)>,
    /// Those that were restarted from another run, behind that.
    restarted: BTreeSet<(RunId, RunId)>,
}

impl Kin {
    pub(super) fn put(&mut self, run: &Run) {
        self.children.extend(run.parent.map(|parent| (parent.run, run.id)));
        self.restarted.extend(run.origin.as_ref().map(|origin| (origin.run, run.id)));
        self.ended(run, None);
    }

    /// Notes when the run ended, or that it goes on.
    pub(super) fn ended(&mut self, run: &Run, before: Option<Timestamp>) {
        let after = run.state.ended_at;
        if before == after || run.parent.is_some() {
            return;
        }
        if let Some(at) = before {
            self.ended.remove(&(at, run.id));
        }
        self.ended.extend(after.map(|at| (at, run.id)));
    }

    pub(super) fn remove(&mut self, run: &Run) {
        if let Some(parent) = run.parent {
            self.children.remove(&(parent.run, run.id));
        }
        if let Some(origin) = &run.origin {
            self.restarted.remove(&(origin.run, run.id));
        }
        if let Some(at) = run.state.ended_at {
            self.ended.remove(&(at, run.id));
        }
    }

    /// The runs among which all are that the filter finds, and whether they come in its order; none where that is not
    /// known here.
    pub(super) fn candidates<'k>(
        &'k self,
        filter: &'k Filter,
    ) -> Option<(Box<dyn Iterator<Item = RunId> + 'k>, bool)> {
        if !filter.parents.is_empty() {
            return Some((Box::new(of(&self.children, &filter.parents)), false));
        }
        if !filter.origins.is_empty() {
            return Some((Box::new(of(&self.restarted, &filter.origins)), false));
        }
        let before = filter.ended_before.filter(|_| filter.child == Some(false))?;
        let from = filter.ended_from.unwrap_or(Timestamp::from_micros(i64::MIN)).min(before);
        let range = self.ended.range((from, FIRST)..(before, FIRST));
        Some((Box::new(range.map(|(_, run)| *run)), filter.order == Order::Ended))
    }
}

fn of<'k>(kin: &'k BTreeSet<(RunId, RunId)>, these: &[RunId]) -> impl Iterator<Item = RunId> + use<'k> {
    // One that is named twice is looked for once.
    let these: BTreeSet<RunId> = these.iter().copied().collect();
    these.into_iter().flat_map(move |run| kin.range((run, FIRST)..=(run, LAST))).map(|(_, run)| *run)
}
