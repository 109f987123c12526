use std::collections::HashMap;
#[cfg(feature = "cron")]
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::{AtomicU64, Ordering};
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
    /// How many pipelines there were when their schedules were looked after.
    #[cfg(feature = "cron")]
    pub(crate) scheduled: AtomicUsize,
    /// None, but for a test that wants to see the same twice.
    pub(crate) replay: Option<Replay>,
}

impl Shared {
    /// A new UUID v7 whose time is `now`, for a run, a message or a worker.
    pub(crate) fn new_id(&self, now: Timestamp) -> Uuid {
        self.replay.as_ref().map_or_else(|| new_id(now), |replay| replay.new_id(now))
    }

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
            limits: self.catalog.limits(),
        };
        let outlook = ask(|| self.repository.outlook(&request)).await?.answer;
        if let Some(newest) = outlook.clocks.newest {
            self.time.catch_up(newest);
        }
        Ok(())
    }
}

/// What makes a program do the same twice: its ids come from a seed, and its engines are tasks of the runtime that they
/// are started from, instead of having threads.
#[derive(Debug)]
pub(crate) struct Replay {
    state: AtomicU64,
}

impl Replay {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { state: AtomicU64::new(seed) }
    }

    fn new_id(&self, now: Timestamp) -> Uuid {
        let millis = now.as_micros().unsigned_abs() / 1_000;
        let (high, low) = (self.draw().to_be_bytes(), self.draw().to_be_bytes());
        let drawn = std::array::from_fn(|at| if at < 8 { high[at] } else { low[at - 8] });
        uuid::Builder::from_unix_timestamp_millis(millis, &drawn).into_uuid()
    }

    fn draw(&self) -> u64 {
        mix(self.state.fetch_add(GOLDEN, Ordering::Relaxed).wrapping_add(GOLDEN))
    }
}

/// By what the state of [`mix`] grows from number to number.
pub(super) const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A number that looks drawn by chance (SplitMix64, G. Steele et al., *Fast Splittable Pseudorandom Number
/// Generators*).
pub(super) const fn mix(state: u64) -> u64 {
    let mut mixed = state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
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
