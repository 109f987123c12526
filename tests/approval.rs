//! The example `approval`, from the outside: every expense gets one verdict, by whom and when it was decided.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod example_program;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use tempfile::TempDir;

use example_program::{complaint, names_in, program, said};

/// Longer than any test takes: somebody has to decide.
const LONG: &str = "600000";

/// A database of expenses.
struct Bench {
    root: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    fn database(&self) -> PathBuf {
        self.root.path().join("approval.db")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program("approval");
        command.arg("--database").arg(self.database()).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Hands in an expense, and says its id.
    #[track_caller]
    fn submit(&self, limit: &str, arguments: &[&str]) -> String {
        let text = said(&self.run(&[&["submit", "--limit", limit], arguments].concat()));
        text.split_whitespace().nth(1).unwrap().to_owned()
    }

    fn start(&self, arguments: &[&str]) -> Worker {
        let mut child =
            self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Worker { child, lines }
    }

    /// The verdicts, by the id of their expense.
    fn verdicts(&self) -> BTreeMap<String, String> {
        let directory = self.root.path().join("approval.db.verdicts");
        let read = |name: String| {
            let id = name.strip_suffix("-carry_out.txt").unwrap_or_else(|| panic!("{name}")).to_owned();
            (id, fs::read_to_string(directory.join(name)).unwrap().trim_end().to_owned())
        };
        names_in(&directory).into_iter().map(read).collect()
    }

    #[track_caller]
    fn check(&self, id: &str, verdict: &str) {
        let expected = [(id.to_owned(), format!("a book (4200 cents): {verdict}"))];
        assert_eq!(self.verdicts(), BTreeMap::from(expected));
    }
}

/// A program that works. It is ended with the test.
struct Worker {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Worker {
    /// Returns when it says a line with this in it. When it ends before, the test has failed.
    #[track_caller]
    fn says(&mut self, what: &str) {
        let found = self.lines.by_ref().map(Result::unwrap).find(|line| line.contains(what));
        assert!(found.is_some(), "it ended, and did not say `{what}`");
    }

    /// Returns when it ends, which it should do well.
    #[track_caller]
    fn ends(mut self) {
        self.lines.by_ref().for_each(|line| drop(line.unwrap()));
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn alone_it_goes_from_one_to_the_next_and_is_refused_in_the_end() {
    let bench = Bench::new();
    let text = said(&bench.run(&["--limit", "50"]));
    let told: Vec<_> = ["for Ada", "Ada did not", "for Grace", "Grace did not", "refused: nobody"].into();
    let places: Vec<_> =
        told.iter().map(|what| text.find(what).unwrap_or_else(|| panic!("{text}"))).collect();
    assert!(places.is_sorted(), "{text}");
    let verdicts: Vec<_> = bench.verdicts().into_values().collect();
    assert_eq!(verdicts, ["a book (4200 cents): refused: nobody decided in time"]);
}

#[test]
fn another_process_decides_while_it_waits() {
    for (arguments, verdict) in [
        (&["approve"][..], "approved by Ada"),
        (&["reject"], "refused by Ada: no reason was given"),
        (&["reject", "--reason", "it's \"too\" dear"], "refused by Ada: it's \"too\" dear"),
    ] {
        let bench = Bench::new();
        let id = bench.submit(LONG, &[]);
        let mut worker = bench.start(&["work"]);
        worker.says("for Ada to decide");
        let (command, others) = arguments.split_first().unwrap();
        said(&bench.run(&[&[command, id.as_str()], others].concat()));
        worker.says(verdict);
        worker.ends();
        bench.check(&id, verdict);
    }
}

#[test]
fn a_decision_that_comes_before_anybody_asks_is_kept() {
    let bench = Bench::new();
    let id = bench.submit(LONG, &[]);
    said(&bench.run(&["approve", &id]));
    said(&bench.run(&["work"]));
    bench.check(&id, "approved by Ada");
}

#[test]
fn the_decision_of_the_next_one_is_kept_until_it_is_asked_for() {
    let bench = Bench::new();
    let id = bench.submit("50", &[]);
    said(&bench.run(&["approve", &id, "--by", "Grace"]));
    let text = said(&bench.run(&["work"]));
    assert!(text.contains("Ada did not decide in time"), "{text}");
    bench.check(&id, "approved by Grace");
}

/// Who comes after the one that decides gives that one time: a decision counts too when it comes a little late.
#[test]
fn when_the_time_is_up_the_next_one_decides() {
    let bench = Bench::new();
    let others: Vec<_> = (0..60).map(|number| format!("Number {number}")).collect();
    let others = others.iter().flat_map(|name| ["--ask", name.as_str()]);
    let deciders: Vec<_> = ["--ask", "Ada", "--ask", "Grace"].into_iter().chain(others).collect();
    let id = bench.submit("400", &deciders);
    let mut worker = bench.start(&["work"]);
    worker.says("Ada did not decide in time");
    worker.says("for Grace to decide");
    said(&bench.run(&["approve", &id, "--by", "Grace"]));
    worker.ends();
    bench.check(&id, "approved by Grace");
}

#[test]
fn killed_while_it_waits_it_goes_on_with_the_decision() {
    let bench = Bench::new();
    let id = bench.submit(LONG, &[]);
    let mut worker = bench.start(&["work"]);
    worker.says("for Ada to decide");
    // The wait is committed when it shows; only then it is sure that the kill comes while it waits.
    while !said(&bench.run(&["list"])).contains("waits for Ada") {}
    drop(worker);
    said(&bench.run(&["reject", &id]));
    assert_eq!(bench.verdicts(), BTreeMap::new(), "nobody works");
    let text = said(&bench.run(&["work"]));
    assert!(!text.contains("waits"), "nobody is asked again: {text}");
    bench.check(&id, "refused by Ada: no reason was given");
}

#[test]
fn of_two_decisions_the_first_counts_and_afterwards_there_is_nothing_to_decide() {
    let bench = Bench::new();
    let id = bench.submit(LONG, &[]);
    said(&bench.run(&["approve", &id]));
    said(&bench.run(&["reject", &id]));
    said(&bench.run(&["work"]));
    bench.check(&id, "approved by Ada");
    let line = complaint(&bench.run(&["reject", &id]));
    assert!(line.contains("a run that is finished can't be signalled"), "{line}");
    bench.check(&id, "approved by Ada");
}

#[test]
fn a_name_may_be_any_text() {
    for name in [r#"Mary "Bob" O'Brien"#, "'; DROP TABLE runs; --", "Éva %_ \\"] {
        let bench = Bench::new();
        let id = bench.submit(LONG, &["--ask", name]);
        let mut worker = bench.start(&["work"]);
        worker.says(&format!("for {name} to decide"));
        said(&bench.run(&["approve", &id, "--by", name]));
        worker.ends();
        bench.check(&id, &format!("approved by {name}"));
    }
}

#[test]
fn an_expense_that_is_not_there() {
    let bench = Bench::new();
    let line = complaint(&bench.run(&["approve", "0192f0c1-2345-7000-8000-000000000000"]));
    assert!(line.contains("there is no run 0192f0c1-2345-7000-8000-000000000000"), "{line}");
}

#[test]
fn a_command_line_that_makes_no_sense() {
    let bench = Bench::new();
    let id = bench.submit(LONG, &[]);
    let long = "x".repeat(300);
    for (arguments, reason) in [
        (&["--bye", "x"][..], "--bye"),
        (&["decide"], "`decide` is no command"),
        (&["approve"], "`approve` needs the id"),
        (&["approve", "42"], "`42` is no id of an expense"),
        (&["approve", &id, "--reason", "good"], "--reason goes with `reject`"),
        (&["approve", &id, "--by", "Bob"], "`Bob` does not decide this expense: ask Ada, Grace"),
        (&["work", "--by", "Ada"], "--by and --reason go with a decision"),
        (&["--limit", "soon"], "soon"),
        (&["--cents", "-1"], "-1"),
        (&["--ask", ""], "--ask needs a name"),
        (&["--ask", "Ada", "--ask", "Ada"], "`Ada` is there twice"),
        (&["--ask", &long], "is too long for a name"),
    ] {
        let line = complaint(&bench.run(arguments));
        assert!(line.contains(reason), "{arguments:?}: {line}");
    }
    let text = said(&bench.run(&["list"]));
    assert_eq!(text.lines().count(), 1, "nothing was handed in: {text}");
    assert!(text.contains("is not looked at yet"), "{text}");
}

#[test]
fn a_database_that_can_not_be_opened() {
    let bench = Bench::new();
    fs::create_dir(bench.database()).unwrap();
    assert!(complaint(&bench.run(&["list"])).contains("can't open the database"));
}
