//! Hands in expenses, has them decided, and tells what was decided.

use std::time::Duration;

use anyhow::{Context, ensure};
use prorch::prelude::*;
use prorch::repository::{Filter, StoredRun};
use prorch::{RunId, Status};

use crate::expense::{Expense, ExpenseApproval, signal_of};
use crate::options::{Options, Sent};
use crate::say;

/// When a program that worked was killed in the middle of a call, its run is free for the next one after this time.
const LEASE: Duration = Duration::from_secs(2);
/// How often `work` looks whether something is left to be decided.
const LOOK: Duration = Duration::from_millis(20);

/// What the program works with.
pub(crate) struct Office {
    orchestrator: Orchestrator,
}

impl Office {
    /// Opens the database, and makes it if there is none.
    pub(crate) fn open(options: &Options) -> anyhow::Result<Self> {
        let database = &options.database;
        let directory = database.parent().context("the database has no directory")?;
        std::fs::create_dir_all(directory)
            .with_context(|| format!("can't create `{}`", directory.display()))?;
        let repository = SqliteRepository::open(database)
            .with_context(|| format!("can't open the database `{}`", database.display()))?;
        let config = OrchestratorConfig::default().lease(LEASE);
        let builder = Orchestrator::builder(repository).config(config).pipeline::<ExpenseApproval>();
        Ok(Self { orchestrator: builder.build()? })
    }

    /// Hands in an expense. From here on it is stored.
    pub(crate) async fn submit(&self, options: &Options) -> anyhow::Result<()> {
        let run = self.orchestrator.start::<ExpenseApproval>(options.expense()).await?;
        say(&format!("expense {} is handed in; `approve {0}` or `reject {0}` decides it", run.id()));
        Ok(())
    }

    /// Works until nothing is left to be decided.
    pub(crate) async fn work(&self) -> anyhow::Result<()> {
        let mut error = None;
        let all_decided = async {
            loop {
                match self.orchestrator.active_pipelines().await {
                    Ok(page) if page.total == Some(0) => break,
                    Ok(_) => tokio::time::sleep(LOOK).await,
                    Err(found) => break error = Some(found),
                }
            }
        };
        let until = async {
            tokio::select! {
                () = all_decided => {}
                _ = tokio::signal::ctrl_c() => say("stopped; `work` goes on where it was"),
            }
        };
        self.orchestrator.run_until(until).await?;
        error.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Says what waits for whom.
    pub(crate) async fn list(&self) -> anyhow::Result<()> {
        for run in self.orchestrator.search(&Filter::active()).await?.runs {
            let (stored, expense) = self.find(run.id).await?;
            let waits = match asked(&stored, &expense) {
                Some(name) => format!("waits for {name}"),
                None => "is not looked at yet".into(),
            };
            say(&format!("expense {}: {} ({} cents) {waits}", run.id, expense.what, expense.cents));
        }
        Ok(())
    }

    /// Sends a decision: by whom it says, or by the one who is asked just now.
    pub(crate) async fn decide(&self, sent: &Sent) -> anyhow::Result<()> {
        let (stored, expense) = self.find(sent.id).await?;
        let by = sent.by.as_ref().or_else(|| asked(&stored, &expense)).unwrap_or(&expense.deciders[0]);
        let deciders = expense.deciders.join(", ");
        ensure!(expense.deciders.contains(by), "`{by}` does not decide this expense: ask {deciders}");
        self.orchestrator.signal(sent.id, &signal_of(by), sent.decision.clone()).await?;
        say(&format!("expense {}: the decision of {by} is sent", sent.id));
        Ok(())
    }

    /// An expense, and how it is stored.
    async fn find(&self, id: RunId) -> anyhow::Result<(StoredRun, Expense)> {
        let run = self.orchestrator.handle::<ExpenseApproval>(id).await?;
        let stored = self.orchestrator.get(run.id()).await?.context("the expense has gone")?;
        let expense = serde_json::from_str(&stored.run.input).context("the expense can't be read")?;
        Ok((stored, expense))
    }
}

/// Who is asked just now.
fn asked<'a>(stored: &StoredRun, expense: &'a Expense) -> Option<&'a String> {
    let waiting = stored.current().find(|record| record.status == Status::Pending)?;
    expense.decider_by_signal(waiting.awaits.as_ref()?)
}
