//! Runs that have ended are removed by each worker, now and then. There is no leader: two at once do no harm.

use std::time::Duration;

use super::prune::{PruneReport, Sweep};
use super::wake::Inbound;
use super::worker::{Mode, Worker};
use crate::repository::StoreError;

/// When a worker removes runs next.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    /// By the clock's `elapsed`; none while it does.
    at: Option<Duration>,
}

impl Upkeep {
    /// Not all at once where many workers are started together.
    pub(super) fn new(every: Duration, chance: f64) -> Self {
        Self { at: Some(spread(every, chance)) }
    }
}

/// A time up to `every`, and at least half of it.
fn spread(every: Duration, chance: f64) -> Duration {
    every / 2 + (every / 2).mul_f64(chance)
}

impl Worker {
    /// When to remove runs.
    pub(super) fn next_upkeep(&self) -> Option<Duration> {
        let wants = self.mode == Mode::Worker && self.stopping.is_none();
        self.upkeep.at.filter(|_| wants && !self.shared.config.retention.is_empty())
    }

    /// Removes runs, if it is time. What is cut off of it when the worker ends is done by the next one.
    pub(super) fn keep_up(&mut self) {
        if self.next_upkeep().is_none_or(|at| self.shared.clock.elapsed() < at) {
            return;
        }
        self.upkeep.at = None;
        let (shared, sender) = (self.shared.clone(), self.sender.clone());
        tokio::spawn(async move {
            let pruned = Sweep::new(shared.clone()).run(&shared.config.retention).await;
            // The worker may have ended meanwhile.
            let _ = sender.send(Inbound::Pruned(pruned));
        });
    }

    pub(super) fn on_pruned(&mut self, pruned: Result<PruneReport, StoreError>) {
        match pruned {
            Ok(PruneReport { runs, kept, .. }) if runs + kept > 0 => {
                tracing::debug!(worker = %self.me, runs, kept, "runs that ended long ago are removed");
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "runs that ended long ago could not be removed; trying again");
            }
        }
        let wait = spread(self.shared.config.prune_every, self.chance());
        self.upkeep.at = Some(self.shared.clock.elapsed() + wait);
    }
}
