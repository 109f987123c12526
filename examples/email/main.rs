//! A newsletter that everybody on the list gets once, whatever happens to the program that sends it.
//!
//! ```text
//! cargo run --example email                   # to the people in examples/email/recipients.txt, by target/email-demo/outbox
//! cargo run --example email -- --name july --recipients FILE --outbox DIR --database FILE
//! cargo run --example email -- create --name august   # or as two programs: this one starts a campaign,
//! cargo run --example email -- execute                # and this one, by hand or by cron, sends it
//! ```
//!
//! What it shows, in the order in which it is worth reading:
//!
//! * `campaign.rs`: a pipeline whose first step is a function, and two steps that do their work in batches, with a commit
//!   after each. Kill the program in the middle (Ctrl-C will do) and run it again: it goes on with the next batch.
//! * `letter.rs`: how the batch that was cut off is sent again without anybody getting a letter twice.
//! * This file: the campaign's name is the key of its run, so to start it twice starts it once.
//!
//! The letters are `.eml` files in a directory, as a mailer takes them; nothing leaves this machine.

mod audience;
mod campaign;
mod files;
mod letter;
mod options;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use prorch::prelude::*;
use prorch::{RunHandle, Status};

use crate::campaign::EmailCampaign;
use crate::options::{Command, HELP, Options};

/// When this program was killed, its run is free for the next one after this time. A lease this short suits a program
/// that people start by hand; a fleet of workers lives well with the default.
const LEASE: Duration = Duration::from_secs(2);
/// How long `execute` rests between two passes.
const REST: Duration = Duration::from_millis(20);

#[tokio::main]
async fn main() -> ExitCode {
    match obey().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {}", format!("{error:#}").replace('\n', " "));
            ExitCode::FAILURE
        }
    }
}

async fn obey() -> anyhow::Result<()> {
    let options = Options::read(lexopt::Parser::from_env())?;
    if options.command == Command::Help {
        say(HELP);
        return Ok(());
    }
    let orchestrator = open(&options)?;
    match options.command {
        Command::Create => create(&orchestrator, &options).await.map(drop),
        Command::Execute => execute(&orchestrator).await,
        _ => {
            let run = create(&orchestrator, &options).await?;
            send(&orchestrator, &run).await
        }
    }
}

fn open(options: &Options) -> anyhow::Result<Orchestrator> {
    let database = &options.database;
    let directory = database.parent().context("the database has no directory")?;
    std::fs::create_dir_all(directory).with_context(|| format!("can't create `{}`", directory.display()))?;
    let repository = SqliteRepository::open(database)
        .with_context(|| format!("can't open the database `{}`", database.display()))?;
    let config = OrchestratorConfig::default().lease(LEASE);
    Ok(Orchestrator::builder(repository).config(config).pipeline::<EmailCampaign>().build()?)
}

/// Starts the campaign, or finds it where it is; one that failed may try again.
async fn create(orchestrator: &Orchestrator, options: &Options) -> anyhow::Result<RunHandle<EmailCampaign>> {
    let campaign = options.campaign();
    let name = campaign.name.clone();
    let run = orchestrator.start::<EmailCampaign>(campaign).key(&name).await?;
    if run.is_new() {
        say(&format!("campaign `{name}` is created"));
        return Ok(run);
    }
    let status = run.status().await?;
    say(&format!("campaign `{name}` is there already, and {status}"));
    if status == Status::Failed {
        orchestrator.retry(run.id()).await?;
    }
    Ok(run)
}

/// Works until this campaign has ended.
async fn send(orchestrator: &Orchestrator, run: &RunHandle<EmailCampaign>) -> anyhow::Result<()> {
    let mut ended = None;
    let until = async {
        tokio::select! {
            result = run.wait() => ended = Some(result),
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    orchestrator.run_until(until).await?;
    let Some(ended) = ended else { bail!("stopped; the same command goes on where it was") };
    say(&format!("{} letters are in the outbox", ended?.letters));
    Ok(())
}

/// Makes passes until no campaign is left to be done.
async fn execute(orchestrator: &Orchestrator) -> anyhow::Result<()> {
    let mut runs = Vec::new();
    for run in orchestrator.active_pipelines().await?.runs {
        runs.push(orchestrator.handle::<EmailCampaign>(run.id).await?);
    }
    while orchestrator.active_pipelines().await?.total != Some(0) {
        orchestrator.execute_pipelines().await?;
        tokio::time::sleep(REST).await;
    }
    let mut errors = Vec::new();
    for run in runs {
        match run.wait().await {
            Ok(sent) => say(&format!("{} letters are in the outbox", sent.letters)),
            Err(error) => errors.push(error.to_string()),
        }
    }
    anyhow::ensure!(errors.is_empty(), errors.join("; "));
    Ok(())
}

/// Whoever reads may have gone away: that must not cost a letter.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
