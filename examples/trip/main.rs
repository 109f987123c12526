//! A trip: a flight, a hotel and a car are booked. There is no car, and so the hotel and the flight are given back.
//!
//! ```text
//! cargo run --example trip                        # there is no car: what was booked before is given back
//! cargo run --example trip -- --cars 1            # all three are booked
//! cargo run --example trip -- --closed hotel      # the hotel takes nothing back: what is left booked is named
//! cargo run --example trip -- retry ID            # and later it does
//! ```
//!
//! What it shows, in the order in which it is worth reading:
//!
//! * `trip.rs`: a step that says how it is undone, as a type and as a function; and the pipeline that is undone when it fails.
//! * `agency.rs`: how the outside knows a booking by the idempotency key of the step that made it, so that it is found by
//!   whoever gives it back, also when the step never heard that it was made.
//!
//! Kill the program wherever you like, and start it again: no booking is made twice, and none is left.

mod agency;
mod options;
mod trip;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use prorch::prelude::*;
use prorch::repository::Filter;

use crate::agency::Agency;
use crate::options::{Command, HELP, Options};
use crate::trip::{Journey, Trip};

/// When a program was killed in the middle of a call, its run is free for the next one after this time.
const LEASE: Duration = Duration::from_millis(500);

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
    let run = match options.command {
        Command::Retry(id) => {
            orchestrator.retry(id).await?;
            orchestrator.handle::<Journey>(id).await?
        }
        Command::Book | Command::Help => find_or_start(&orchestrator, &options).await?,
    };
    let ended = orchestrator.run_until(run.wait());
    ended.await?;
    match run.wait().await {
        Ok(trip) => say(&format!("booked: {}", trip.bookings.join(", "))),
        Err(error) => say(&error.to_string()),
    }
    Ok(())
}

fn open(options: &Options) -> anyhow::Result<Orchestrator> {
    let directory = options.database.parent().context("the database has no directory")?;
    std::fs::create_dir_all(directory).with_context(|| format!("can't create `{}`", directory.display()))?;
    let repository = SqliteRepository::open(&options.database)
        .with_context(|| format!("can't open the database `{}`", options.database.display()))?;
    let config = OrchestratorConfig::default().lease(LEASE);
    let agency = Agency::new(options);
    Ok(Orchestrator::builder(repository).config(config).resource(agency).pipeline::<Journey>().build()?)
}

/// A trip that an earlier program began and did not end, or a new one.
async fn find_or_start(
    orchestrator: &Orchestrator,
    options: &Options,
) -> anyhow::Result<prorch::RunHandle<Journey>> {
    let open = orchestrator.search(&Filter::active().limit(1)).await?.runs;
    if let Some(run) = open.first() {
        say(&format!("trip {} goes on", run.id));
        return Ok(orchestrator.handle::<Journey>(run.id).await?);
    }
    let run = orchestrator.start::<Journey>(Trip::to(&options.to)).await?;
    say(&format!("trip {} begins", run.id()));
    Ok(run)
}

/// Whoever reads may have gone away: that must not cost a booking.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
