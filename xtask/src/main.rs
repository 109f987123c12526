//! The chores of this workspace: `cargo xtask test`, `cargo xtask soak` and `cargo xtask ci`.
//!
//! They need Rust and a C compiler and nothing else, so that whoever cloned the repository can run them.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a chore speaks to who started it")]

mod command;
mod step;
mod test;
mod dependencies;
mod deny;
mod ci;

use std::process::ExitCode;

use test::Form;

const USAGE: &str = "usage: cargo xtask test [ARGUMENTS OF cargo test …]
       cargo xtask soak [ARGUMENTS OF cargo test …]
       cargo xtask ci";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.split_first() {
        Some((chore, rest)) if chore == "test" => test::run(Form::Short, rest),
        Some((chore, rest)) if chore == "soak" => test::run(Form::Long, rest),
        Some((chore, [])) if chore == "ci" => ci::run_ci(),
        _ => Err(step::Failure::new(USAGE)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\nxtask: {failure}");
            ExitCode::FAILURE
        }
    }
}
