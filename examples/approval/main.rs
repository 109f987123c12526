//! An expense that waits for people: for a decision that another process sends, for so long, and then for the next one.
//!
//! ```text
//! cargo run --example approval                           # hands in an expense: decide it from another terminal, or
//!                                                        # see it go from Ada to Grace, and be refused in the end
//! cargo run --example approval -- submit --limit 60000   # or as several programs: this one hands it in,
//! cargo run --example approval -- work                   # this one asks people, until nothing is left to be decided,
//! cargo run --example approval -- list                   # this one says whom it waits for,
//! cargo run --example approval -- approve ID             # and this one decides
//! cargo run --example approval -- reject ID --by Grace --reason "too dear"
//! ```
//!
//! What it shows, in the order in which it is worth reading:
//!
//! * `expense.rs`: a step that waits for a signal with a time limit, and when that passes for another one's; and a step
//!   that does what was decided once, whatever happens to the program.
//! * `office.rs`: how a run is told something by its id, from another process.
//!
//! A decision may come before anybody asks for it, or while no program works: it is kept with the run. While the run waits
//! it costs nothing: nobody holds it and nothing looks at it, until the decision comes or the time is up.

mod expense;
mod office;
mod options;

use std::io::Write;
use std::process::ExitCode;

use crate::office::Office;
use crate::options::{Command, HELP, Options};

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
    let office = Office::open(&options)?;
    match &options.command {
        Command::Submit => office.submit(&options).await,
        Command::Work => office.work().await,
        Command::List => office.list().await,
        Command::Decide(decision) => office.decide(decision).await,
        Command::Help | Command::SubmitAndWork => {
            office.submit(&options).await?;
            office.work().await
        }
    }
}

/// Whoever reads may have gone away: that must not cost a decision.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
