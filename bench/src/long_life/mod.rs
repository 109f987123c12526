//! A store that lives long: many runs go through a worker that removes what has ended, and file, memory and time per run
//! stay level.

mod chart;

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use prorch::repository::Filter;
use prorch::{Orchestrator, OrchestratorConfig, Retention, SqliteRepository};

use crate::engine::start_all;
use crate::options::Options;
use crate::work::Fulfilment;

/// After so many runs it is measured.
const EVERY: usize = 10_000;
/// So long runs stay when they have ended: a second of work is in the file.
const KEPT: Duration = Duration::from_secs(1);
/// How often it is looked whether all have ended.
const LOOK: Duration = Duration::from_millis(2);

/// What was measured after so many runs.
pub(crate) struct Measured {
    runs: usize,
    /// How long a thousand runs took, start and removal of others included.
    per_thousand: Duration,
    file: u64,
    log: u64,
    memory: u64,
    stored: u64,
}

/// Prints a line for every ten thousand runs, and draws them when there is a place for that.
pub(crate) fn long_life(options: &Options) -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("long.db");
    let retention = Retention::new().older_than(KEPT);
    let config = OrchestratorConfig::default()
        .concurrency(options.in_flight)
        .retention(retention)
        .prune_every(Duration::from_millis(200));
    let repository = SqliteRepository::open(&file)?;
    let orchestrator = Orchestrator::builder(repository).config(config).pipeline::<Fulfilment>().build()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measured = runtime.block_on(async {
        let mut measured = Vec::new();
        orchestrator.run_until(live(&orchestrator, &file, options.runs, &mut measured)).await?;
        Ok::<_, Box<dyn Error>>(measured)
    })?;
    if let Some(place) = &options.chart {
        std::fs::write(place, chart::draw(&measured))?;
    }
    Ok(())
}

async fn live(orchestrator: &Orchestrator, file: &Path, runs: usize, measured: &mut Vec<Measured>) {
    println!("   runs  ms/1,000 runs  file MiB  log MiB  memory MiB  runs stored");
    for begun in (0..runs).step_by(EVERY) {
        let count = EVERY.min(runs - begun);
        match measure(orchestrator, file, begun, count).await {
            Ok(next) => {
                println!("{next}");
                measured.push(next);
            }
            Err(error) => {
                println!("it ended after {begun} runs: {error}");
                return;
            }
        }
    }
}

async fn measure(
    orchestrator: &Orchestrator,
    file: &Path,
    begun: usize,
    count: usize,
) -> Result<Measured, Box<dyn Error>> {
    let began = Instant::now();
    start_all(orchestrator, count).await?;
    while !orchestrator.search(&Filter::active().limit(1)).await?.runs.is_empty() {
        tokio::time::sleep(LOOK).await;
    }
    let took = began.elapsed();
    let stored = orchestrator.search(&Filter::all().limit(1).with_total()).await?.total;
    Ok(Measured {
        runs: begun + count,
        per_thousand: took.mul_f64(1_000.0 / count as f64),
        file: length(file),
        log: length(&file.with_extension("db-wal")),
        memory: memory(),
        stored: stored.unwrap_or_default(),
    })
}

fn length(file: &Path) -> u64 {
    file.metadata().map_or(0, |file| file.len())
}

/// How much memory of this process is resident, in bytes; 0 where the system does not say.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kib| kib << 10)
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

impl std::fmt::Display for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { runs, per_thousand, stored, .. } = self;
        let (file, log, memory) = (mib(self.file), mib(self.log), mib(self.memory));
        let millis = per_thousand.as_secs_f64() * 1_000.0;
        write!(f, "{runs:>7}  {millis:>13.1}  {file:>8.1}  {log:>7.1}  {memory:>10.1}  {stored:>11}")
    }
}
