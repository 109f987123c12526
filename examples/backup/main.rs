//! A backup that can be killed at any moment and goes on where it was.
//!
//! ```text
//! cargo run --example backup                                     # packs `prorch-core` into target/backup-demo/vault
//! cargo run --example backup -- --source DIR --vault DIR --database FILE
//! cargo run --example backup -- --crash-after BackupGeneration   # aborts; run the same line again and see it resume
//! cargo run --example backup -- create                           # or as two programs: this one starts a backup,
//! cargo run --example backup -- execute                          # and this one, by hand or by cron, makes it
//! ```
//!
//! What it shows, in the order in which it is worth reading:
//!
//! * `pipeline.rs`: a pipeline of three steps, and what it is started with.
//! * `generation.rs`: a step that starts something outside (the process in `archiver.rs`) and waits for it.
//! * `transfer.rs`: a step that does a large job in small parts, with a commit after each.
//! * `notification.rs`: a step that tells somebody, who may have to be told twice, and knows it.
//! * `desk.rs`: how runs are started under a key, executed, resumed, and tried again.
//!
//! Each step can be called a second time after a crash, and none does its work twice: what it makes is named by the run,
//! so the second call finds what the first one did.

mod archiver;
mod archivers;
mod desk;
mod files;
mod generation;
mod notification;
mod options;
mod pipeline;
mod probe;
mod screen;
mod ticket;
mod transfer;
mod walk;
mod webhook;

use std::io::Write;
use std::process::ExitCode;

use crate::desk::Desk;
use crate::options::{Command, HELP, Options};

fn main() -> ExitCode {
    match Options::read(lexopt::Parser::from_env()).and_then(|options| obey(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {}", one_line(&error));
            ExitCode::FAILURE
        }
    }
}

fn obey(options: &Options) -> anyhow::Result<()> {
    match &options.command {
        Command::Help => Ok(writeln!(std::io::stdout(), "{HELP}")?),
        Command::Archive(order) => archiver::run(order),
        Command::Create | Command::Execute | Command::CreateAndExecute => back_up(options),
    }
}

#[tokio::main]
async fn back_up(options: &Options) -> anyhow::Result<()> {
    let desk = Desk::open(options)?;
    match options.command {
        Command::Create => desk.create(options).await,
        Command::Execute => desk.execute().await,
        _ => desk.create_and_execute(options).await,
    }
}

/// An error and its causes in one line. Some errors have their cause's text in their own.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for text in error.chain().map(ToString::to_string) {
        if !line.contains(&text) {
            let colon = if line.is_empty() { "" } else { ": " };
            line.push_str(&format!("{colon}{text}"));
        }
    }
    line.replace('\n', " ")
}
