use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use uuid::{NoContext, Uuid};

use super::StoreTime;
use crate::clock::Clock;
use crate::config::OrchestratorConfig;
use crate::model::{RunId, Timestamp, WorkerId};
use crate::registry::Catalog;
use crate::repository::{AnyRepository, ClaimRequest, Leases, StoreError, ask};
use crate::step::Resources;

/// What an orchestrator and its engines have in common.
pub(crate) struct Shared {
    pub(crate) repository: AnyRepository,
    pub(crate) catalog: Catalog,
    pub(crate) config: OrchestratorConfig,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) time: StoreTime,
    pub(crate) resources: Arc<Resources>,
    pub(crate) waiters: Waiters,
}

impl Shared {
    /// Goes forward to the latest time that the store shows, which is waited for while what keeps it from that may pass.
    pub(crate) async fn catch_up(&self) -> Result<(), StoreError> {
        let now = self.time.now();
        let request = ClaimRequest {
            definitions: self.catalog.definitions(),
            limit: 0,
            by_age: 0,
            suspect: true,
            holder: WorkerId::from_uuid(Uuid::nil()),
            lease: self.config.lease,
            leases: Leases::ByTime,
            now,
            due_by: now,
        };
        let outlook = ask(|| self.repository.outlook(&request)).await?.answer;
        if let Some(newest) = outlook.clocks.newest {
            self.time.catch_up(newest);
        }
        Ok(())
    }
}

/// A new UUID v7 whose time is `now`, for a run or a message.
pub(crate) fn new_id(now: Timestamp) -> Uuid {
    let micros = now.as_micros().unsigned_abs();
    let nanos = u32::try_from(micros % 1_000_000 * 1_000).unwrap_or(0);
    Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, micros / 1_000_000, nanos))
}

/// Who waits in this process for the end of which run.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    by_run: Mutex<HashMap<RunId, watch::Sender<()>>>,
}

impl Waiters {
    /// A receiver that hears of the run's end, if an engine of this process commits it.
    pub(crate) fn listen(&self, run: RunId) -> watch::Receiver<()> {
        let mut by_run = self.lock();
        // Senders whose waiters all went away are swept when the map has grown, so that it stays as small as they are.
        if by_run.len() >= 1_024 && by_run.len().is_power_of_two() {
            by_run.retain(|_, sender| sender.receiver_count() > 0);
        }
        by_run.entry(run).or_insert_with(|| watch::Sender::new(())).subscribe()
    }

    /// Tells those who wait that the run has ended.
    pub(crate) fn ended(&self, run: RunId) {
        if let Some(sender) = self.lock().remove(&run) {
            sender.send_replace(());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, watch::Sender<()>>> {
        self.by_run.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
