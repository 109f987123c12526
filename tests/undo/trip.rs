//! The example `trip`, from the outside: all is booked, or nothing.

#![cfg(feature = "sqlite")]

use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::example_program::{complaint, names_in, program, said};

struct Bench(TempDir);

impl Bench {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn bookings(&self) -> PathBuf {
        self.0.path().join("bookings")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program("trip");
        command.arg("--database").arg(self.0.path().join("trip.db"));
        command.arg("--bookings").arg(self.bookings()).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What is booked.
    fn booked(&self) -> Vec<String> {
        let first = |name: &String| name.split('-').next().unwrap_or_default().to_owned();
        names_in(&self.bookings()).iter().map(first).collect()
    }
}

#[test]
fn without_a_car_all_is_given_back_and_with_one_all_is_booked() {
    let bench = Bench::new();
    let text = said(&bench.run(&[]));
    let lines: Vec<&str> = text.lines().skip(1).collect();
    let expected = [
        "flight: booked",
        "hotel: booked",
        "car: nothing to give back",
        "hotel: given back",
        "flight: given back",
    ];
    assert_eq!(lines[..5], expected);
    assert!(lines[5].ends_with("there is no car in Lisbon (what its steps had done is undone)"), "{text}");
    assert_eq!(bench.booked(), [""; 0]);
    let text = said(&bench.run(&["--cars", "1", "--to", "Faro"]));
    assert!(text.ends_with("booked: a flight to Faro, a hotel to Faro, a car to Faro\n"), "{text}");
    assert_eq!(bench.booked(), ["car", "flight", "hotel"]);
}

#[test]
fn what_can_not_be_given_back_is_named_and_tried_again() {
    let bench = Bench::new();
    let text = said(&bench.run(&["--closed", "hotel"]));
    assert!(
        text.contains("the hotel takes nothing back today; not undone: `book_hotel`, `BookFlight`;"),
        "{text}"
    );
    assert_eq!(bench.booked(), ["flight", "hotel"]);
    let id = text.split_whitespace().nth(1).unwrap();
    let text = said(&bench.run(&["retry", id]));
    assert!(text.contains("hotel: given back\nflight: given back\n"), "{text}");
    assert_eq!(bench.booked(), [""; 0]);
    let text = complaint(&bench.run(&["retry", id]));
    assert!(text.contains("restart it"), "{text}");
}

/// Whenever it is killed, the next one goes on with what the last one left.
#[cfg(unix)]
#[test]
fn a_program_that_is_killed_leaves_nothing_booked() {
    for after in [2, 4] {
        let bench = Bench::new();
        let mut child =
            bench.command(&["--pace", "30"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
        // The first line says that it begins, the others what it has done.
        let seen: Vec<String> = lines.by_ref().take(1 + after).map_while(Result::ok).collect();
        let killed = child.kill().and_then(|()| child.wait());
        assert!(killed.is_ok() && seen.len() == 1 + after, "{seen:?}");
        let text = said(&bench.run(&[]));
        assert!(text.starts_with("trip ") && text.contains(" goes on\n"), "{text}");
        assert_eq!(bench.booked(), [""; 0], "killed after {seen:?}: {text}");
    }
}
