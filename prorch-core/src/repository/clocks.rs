use std::sync::Arc;
use std::time::Duration;

use super::{ClaimRequest, Filter, Lease, Page, Repository, Run, StoreError, Timestamp, WorkerId};

/// By what a claim tells that a lease is over.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Leases {
    /// By the time of the claim alone ([`Lease::is_live`]). Whoever claims trusts its clock.
    #[default]
    ByTime,
    /// By what the worker has seen of their holders too: only a lease that ends by the time that is given for its holder is
    /// over. Of a holder that is not in the list, none is.
    ByHolder(Arc<[HolderTime]>),
}

/// Up to when the leases of a worker are over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HolderTime {
    /// The worker.
    pub holder: WorkerId,
    /// Those of its leases are over that end at this time, by its own clock, or before.
    pub over: Timestamp,
}

impl Leases {
    /// Whether a claim may take a run that is held by `holder` until `until`, if the claim's time allows it.
    #[must_use]
    pub fn are_over(&self, holder: WorkerId, until: Timestamp) -> bool {
        match self {
            Self::ByTime => true,
            Self::ByHolder(times) => times.iter().any(|time| time.holder == holder && until <= time.over),
        }
    }

    /// The same of a run, which may be idle.
    #[must_use]
    pub fn allow(&self, run: &Run) -> bool {
        run.lease.is_none_or(|Lease { holder, until, .. }| self.are_over(holder, until))
    }

    /// Whether the time alone can make that so.
    #[must_use]
    pub const fn end_by_time(&self) -> bool {
        matches!(self, Self::ByTime)
    }
}

/// What a store shows of the clocks of those who write to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clocks {
    /// The latest time, to a second, that anybody wrote who started, claimed or changed one of the runs that have not
    /// ended: by somebody's clock it is that late already. None when there is none.
    pub newest: Option<Timestamp>,
    /// Those who hold runs that are not paused, in the order of their ids.
    pub holders: Vec<HolderClock>,
}

/// What a store shows of a worker that holds runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HolderClock {
    /// The worker.
    pub holder: WorkerId,
    /// The latest time at which it claimed or renewed, by its own clock.
    pub stamped: Timestamp,
    /// When the first of its leases ends.
    pub first_end: Timestamp,
    /// How long the longest of its leases is.
    pub length: Duration,
}

impl Clocks {
    /// Notes a lease that is there.
    pub fn add(&mut self, holder: WorkerId, until: Timestamp, length: Duration) {
        let stamped = until.saturating_sub(length);
        self.newest = self.newest.max(Some(stamped));
        match self.holders.binary_search_by_key(&holder, |known| known.holder) {
            Ok(place) => {
                let known = &mut self.holders[place];
                known.stamped = known.stamped.max(stamped);
                known.first_end = known.first_end.min(until);
                known.length = known.length.max(length);
            }
            Err(place) => {
                self.holders.insert(place, HolderClock { holder, stamped, first_end: until, length })
            }
        }
    }

    /// Notes a run that is there.
    fn add_run(&mut self, run: &Run) {
        self.newest = self.newest.max(Some(run.created_at)).max(run.state.started_at);
        if let Some(lease) = run.lease.filter(|_| run.claimable_at().is_some()) {
            self.add(lease.holder, lease.until, lease.length);
        }
    }
}

/// What [`Repository::outlook`] says of the clocks, from the runs themselves.
pub(super) async fn clocks<R: Repository + ?Sized>(
    repository: &R,
    request: &ClaimRequest,
) -> Result<Clocks, StoreError> {
    const PAGE: usize = 1_000;
    let known = Some(request.definitions.to_vec());
    let mut filter = Filter { definitions: known, limit: PAGE, ..Filter::active() };
    let mut clocks = Clocks::default();
    loop {
        let Page { runs, next, .. } = repository.search(&filter).await?;
        runs.iter().for_each(|run| clocks.add_run(run));
        if next.is_none() {
            return Ok(clocks);
        }
        filter.after = next;
    }
}
