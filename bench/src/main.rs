//! How fast prorch is, in one process: N runs of three steps that do nothing, every transition durable; enqueued first,
//! then drained. Beside it a bare loop over SQLite that commits each step's start and each step's end by itself.
//!
//! ```text
//! cargo run --release -p prorch-bench -- compare --runs 20000 --in-flight 2048 --rounds 3
//! ```
//!
//! And how two processes that write all the time share a file with a third that writes now and then:
//!
//! ```text
//! cargo run --release -p prorch-bench -- share --seconds 10
//! ```
//!
//! And how a store fares that lives long, with a chart of it:
//!
//! ```text
//! cargo run --release -p prorch-bench -- long-life --runs 500000 --in-flight 256 --chart docs/long-life.svg
//! ```

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program")]

mod options;
mod work;
mod engine;
mod raw;
mod share;
mod long_life;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use options::{Command, Options};

fn main() -> ExitCode {
    match Options::parse(std::env::args().skip(1)).map_err(Into::into).and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("prorch-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    match options.command {
        Command::Memory => show("memory", options.runs, engine::memory(options)?),
        Command::Sqlite => show("sqlite", options.runs, engine::sqlite(options)?),
        Command::RawSqlite => show("raw-sqlite", options.single_runs(), raw::single(options.single_runs())?),
        Command::Compare => return compare(options),
        Command::LongLife => return long_life::long_life(options),
        Command::Share => return share::share(options),
        Command::Saturate => return share::saturate(options),
    }
    Ok(())
}

/// Baseline and engine in turn, and the ratio of each pair.
fn compare(options: &Options) -> Result<(), Box<dyn Error>> {
    let mut ratios = Vec::new();
    for _ in 0..options.rounds {
        let single = raw::single(options.single_runs())?;
        show("raw-sqlite", options.single_runs(), single);
        let engine = engine::sqlite(options)?;
        show("sqlite", options.runs, engine);
        ratios.push(rate(options.runs, engine) / rate(options.single_runs(), single));
    }
    ratios.sort_by(f64::total_cmp);
    let (first, middle, last) = (ratios[0], ratios[ratios.len() / 2], ratios[ratios.len() - 1]);
    println!("over_single: min {first:.1}, median {middle:.1}, max {last:.1}");
    Ok(())
}

fn show(what: &str, runs: usize, took: Duration) {
    println!("{what:<10} {runs:>7} runs of 3 steps in {took:>9.3?}: {:>7.0} runs/s", rate(runs, took));
}

fn rate(runs: usize, took: Duration) -> f64 {
    runs as f64 / took.as_secs_f64()
}
