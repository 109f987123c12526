use super::Orchestrator;
use crate::config::Retention;
use crate::engine::{PruneReport, Sweep};
use crate::error::Error;

impl Orchestrator {
    /// Removes the runs that `retention` lets go, with all that hangs on them, and says how many are gone, and which stay
    /// although they are old enough.
    ///
    /// It works in batches of at most 500 runs, 2,000 records and 8 MiB, and leaves the store half of the time to others.
    /// What it has not come to when it is dropped, or its process ends, is for the next one: never is a run gone while the
    /// one that started it may go on. Whoever waits for a run that is removed hears [`Error::Removed`].
    ///
    /// For workers that do it now and then see [`OrchestratorConfig::retention`](crate::config::OrchestratorConfig::retention).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use prorch_core::{config::Retention, error::Error, model::Status, orchestrator::Orchestrator};
    /// # async fn example(orchestrator: &Orchestrator) -> Result<(), Error> {
    /// let old = Retention::new().older_than(Duration::from_hours(24 * 7)).status(Status::Finished);
    /// let report = orchestrator.prune(old).await?;
    /// println!("{} runs are gone, {} stay for now", report.runs, report.kept);
    /// for run in report.left {
    ///     println!("{} of `{}`: {}", run.id, run.pipeline, run.why);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Config`] when a status is asked for that no run ends with; [`Error::Store`], and what was removed until then
    /// is gone.
    pub async fn prune(&self, retention: Retention) -> Result<PruneReport, Error> {
        retention.check()?;
        self.shared.catch_up().await?;
        Ok(Sweep::new(self.shared.clone()).run(&[retention]).await?)
    }
}
