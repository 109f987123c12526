//! The schedules that pipelines are declared with: made, or changed, when a worker starts.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Orchestrator;
use crate::error::Error;

/// How long to wait before a store that could not be used is asked again.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

impl Orchestrator {
    /// Makes the schedules that pipelines are declared with and that are not there, and changes those that were declared
    /// otherwise before: once, and once more when there are more pipelines. What was changed at run time stays as long as the
    /// declaration does.
    pub(super) async fn declare_schedules(&self) -> Result<(), Error> {
        let (then, now) = self.scheduled();
        if then == now {
            return Ok(());
        }
        for spec in self.shared.catalog.schedules()? {
            let there = match self.open_schedule(&spec.name).await? {
                Some(run) => self.read_schedule(run).await?,
                None => None,
            };
            if there.is_none_or(|(_, state)| state.spec.declared != spec.declared) {
                let made = self.put_schedule(spec).await?;
                tracing::info!(
                    schedule = made.name,
                    cron = made.cron,
                    timezone = made.timezone,
                    "a schedule is as it is declared"
                );
            }
        }
        self.shared.scheduled.store(now, Ordering::Relaxed);
        Ok(())
    }

    /// The same for a worker, which waits for a store that does not answer for the moment.
    pub(super) async fn declare_schedules_in_time(&self) -> Result<(), Error> {
        if self.shared.catalog.schedules()?.is_empty() {
            // The store is not asked for its time either.
            return Ok(());
        }
        loop {
            let done = match self.shared.catch_up().await {
                Ok(()) => self.declare_schedules().await,
                Err(error) => Err(error.into()),
            };
            match done {
                Err(error) if error.is_transient() || error.is_ambiguous() => {
                    tracing::warn!(%error, "the schedules that are declared can't be looked after; trying again");
                    self.shared.clock.sleep(ASK_AGAIN_AFTER).await;
                }
                done => return done,
            }
        }
    }
}
