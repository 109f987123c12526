//! `cargo xtask test`: all tests of the workspace, and the examples in its documents. `cargo xtask soak`: the same in
//! their long form, one after the other, so that what they measure is theirs alone.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::command::{cargo, check, unstartable};
use crate::step::{Done, Failure, step};

/// How much the tests do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Short,
    Long,
}

/// Runs the tests; `further` arguments go to `cargo test`.
///
/// Plain `cargo test` also builds the example programs, which some tests start.
pub(crate) fn run(form: Form, further: &[String]) -> Done {
    let mut tally = Tally::default();
    let name = if form == Form::Long { "tests in their long form" } else { "tests" };
    let done = step(name, || cargo_test(form, further, &mut tally));
    for figure in &tally.figures {
        println!("{figure}");
    }
    done?;
    println!("{tally}");
    if tally.passed == 0 {
        return Err(Failure::new("no test was run"));
    }
    Ok(())
}

fn cargo_test(form: Form, further: &[String], tally: &mut Tally) -> Done {
    let mut command = cargo(&["test", "--no-fail-fast", "--all-features"]);
    if !names_packages(further) {
        command.arg("--workspace");
    }
    command.args(further).stdout(Stdio::piped());
    if form == Form::Long {
        let separator = (!further.iter().any(|argument| argument == "--")).then_some("--");
        command.args(separator).args(["--nocapture", "--test-threads=1"]).env("PRORCH_SOAK", "1");
    }
    let mut tests = command.spawn().map_err(|error| unstartable(&command, &error))?;
    if let Some(lines) = tests.stdout.take() {
        for line in BufReader::new(lines).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            tally.read(&line);
        }
    }
    let status = tests.wait().map_err(|error| unstartable(&command, &error))?;
    check(&command, status).map_err(|failure| Failure::new(format!("{tally}; {failure}")))
}

fn names_packages(arguments: &[String]) -> bool {
    let ours = arguments.iter().take_while(|argument| *argument != "--");
    ours.into_iter().any(|argument| argument.starts_with("-p") || argument.starts_with("--package"))
}

/// What a test says it measured begins with this (`prorch_testkit::soak::say`).
const FIGURE: &str = "figure: ";

/// What the closing lines of all test programs say, added up, and what the tests measured.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    programs: u32,
    passed: u32,
    failed: u32,
    ignored: u32,
    figures: Vec<String>,
}

impl Tally {
    /// Adds the line if it is one that closes a test program or says a figure.
    fn read(&mut self, line: &str) {
        if line.starts_with(FIGURE) {
            self.figures.push(line.to_owned());
        }
        let Some(counts) = line.strip_prefix("test result: ") else { return };
        self.programs += 1;
        for count in counts.split([';', '.']) {
            match *count.split_whitespace().collect::<Vec<_>>() {
                [number, "passed"] => self.passed += number.parse().unwrap_or(0),
                [number, "failed"] => self.failed += number.parse().unwrap_or(0),
                [number, "ignored"] => self.ignored += number.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { programs, passed, failed, ignored, figures: _ } = self;
        write!(f, "{passed} passed, {failed} failed, {ignored} ignored, in {programs} test programs")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_added_up_and_others_are_not() {
        let mut tally = Tally::default();
        tally.read("test model::run::tests::one ... ok");
        tally.read(
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.03s",
        );
        tally.read("test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 5 filtered out; finished in 1.20s");
        tally.read("figure: 3 runs in 1 s");
        let figures = vec!["figure: 3 runs in 1 s".to_owned()];
        assert_eq!(tally, Tally { programs: 2, passed: 15, failed: 2, ignored: 1, figures });
    }

    #[test]
    fn a_named_package_takes_the_place_of_the_workspace() {
        let named = |arguments: &[&str]| {
            names_packages(&arguments.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert!(named(&["-p", "prorch-core"]));
        assert!(named(&["--package=prorch-core"]));
        assert!(!named(&["--", "-p"]));
        assert!(!named(&["some_test"]));
    }
}
