//! A repository of one's own: runs in one JSON file, and a pipeline that runs on it.
//!
//! ```text
//! cargo run --example json_repository                 # starts a run and executes it
//! cargo run --example json_repository -- my-runs.json # the same, in a file that one can look at
//! ```
//!
//! The repository is in `repository.rs`. That it keeps the contract is tested in one line, in
//! `tests/json_repository.rs`. Kill the program while it counts and start it again: it goes on where it was.

mod repository;

use std::path::PathBuf;
use std::time::Duration;

use prorch::prelude::*;
use prorch::repository::Filter;
use repository::JsonRepository;

/// Counts to what it is told, one a call.
#[step(poll = "200ms")]
struct CountTo {
    counted: u32,
}

impl Step for CountTo {
    type Input = u32;
    type Output = u32;

    async fn on_continue(&mut self, goal: &u32, cx: &StepContext) -> StepResult<u32> {
        self.counted += 1;
        cx.progress(self.counted.into(), (*goal).into());
        say(&format!("counted to {}", self.counted));
        if self.counted < *goal { pending() } else { finish(self.counted) }
    }
}

/// Says what came of it.
#[step]
async fn report(counted: u32) -> StepResult<String> {
    finish(format!("that makes {counted}"))
}

#[pipeline(steps = [CountTo, report])]
struct Counting;

#[allow(clippy::print_stdout, reason = "this program speaks to a terminal")]
fn say(line: &str) {
    println!("{line}");
}

/// The file that is named on the command line, or one beside other temporary files.
fn file() -> PathBuf {
    std::env::args_os().nth(1).map_or_else(|| std::env::temp_dir().join("prorch-runs.json"), PathBuf::from)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let file = file();
    let repository = JsonRepository::open(&file)?;
    let config = OrchestratorConfig::default().lease(Duration::from_secs(2));
    let orchestrator = Orchestrator::builder(repository).config(config).pipeline::<Counting>().build()?;
    let unfinished = orchestrator.search(&Filter::active().pipeline("Counting")).await?;
    let run = match unfinished.runs.first() {
        Some(run) => orchestrator.handle::<Counting>(run.id).await?,
        None => orchestrator.start::<Counting>(5).await?,
    };
    say(&format!("run {} in {}", run.id(), file.display()));
    orchestrator.run_until(run.wait()).await?;
    say(&run.wait().await?);
    Ok(())
}
