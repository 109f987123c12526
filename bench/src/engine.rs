use std::error::Error;
use std::time::{Duration, Instant};

use prorch::repository::{MemoryRepository, Repository};
use prorch::{Orchestrator, OrchestratorConfig, SqliteRepository};

use crate::options::Options;
use crate::work::{Fulfilment, Order};

/// The engine on the in-memory repository.
pub(crate) fn memory(options: &Options) -> Result<Duration, Box<dyn Error>> {
    drain(MemoryRepository::new(), options)
}

/// The engine on a new SQLite file, at full durability.
pub(crate) fn sqlite(options: &Options) -> Result<Duration, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    drain(SqliteRepository::open(folder.path().join("bench.db"))?, options)
}

/// Starts all runs, then measures how long a pass takes that drives them all to their end.
fn drain(repository: impl Repository, options: &Options) -> Result<Duration, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let config = OrchestratorConfig::default().concurrency(options.in_flight);
    let orchestrator = Orchestrator::builder(repository).config(config).pipeline::<Fulfilment>().build()?;
    runtime.block_on(async {
        start_all(&orchestrator, options.runs).await?;
        let began = Instant::now();
        let report = orchestrator.execute_pipelines().await?;
        let took = began.elapsed();
        if report.finished != options.runs as u64 {
            return Err(format!("only {} of {} runs finished", report.finished, options.runs).into());
        }
        Ok(took)
    })
}

/// Starts the runs many at a time, so that their commits are grouped.
pub(crate) async fn start_all(orchestrator: &Orchestrator, runs: usize) -> Result<(), Box<dyn Error>> {
    let mut numbers = (0..runs as u64).peekable();
    while numbers.peek().is_some() {
        let tasks: Vec<_> = numbers
            .by_ref()
            .take(1_000)
            .map(|number| tokio::spawn(orchestrator.start::<Fulfilment>(Order::new(number)).into_future()))
            .collect();
        for task in tasks {
            task.await??;
        }
    }
    Ok(())
}
