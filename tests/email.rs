//! The example `email`, from the outside: everybody gets the letter once.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod example_program;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

use example_program::{Random, complaint, names_in, program, said, setting};
use prorch_testkit::soak::{pick, say};

/// A list of people and an outbox.
struct Bench {
    root: TempDir,
}

impl Bench {
    fn new(people: usize) -> Self {
        let bench = Self { root: tempfile::tempdir().unwrap() };
        let line = |number: usize| format!("Person {number} <p{number}@example.org>\n");
        let list: String = (0..people).map(line).chain(["- Gone <gone@example.org>\n".into()]).collect();
        fs::write(bench.path("list"), list).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program("email");
        command.arg("--recipients").arg(self.path("list")).arg("--outbox").arg(self.path("outbox"));
        command
            .arg("--database")
            .arg(self.path("email.db"))
            .args(["--batch", "3", "--pace", "10"])
            .args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Who got letters, and how many.
    fn delivered(&self) -> BTreeMap<String, usize> {
        let mut found = BTreeMap::new();
        for name in names_in(&self.path("outbox")).iter().filter(|name| name.ends_with(".eml")) {
            let letter = fs::read_to_string(self.path("outbox").join(name)).unwrap();
            assert!(letter.ends_with("that sends it.\r\n"), "a whole letter: {letter}");
            let to = letter.lines().find_map(|line| line.strip_prefix("To: ")).unwrap();
            *found.entry(to.to_owned()).or_insert(0) += 1;
        }
        found
    }

    #[track_caller]
    fn check(&self, people: usize) {
        let delivered = self.delivered();
        assert_eq!(delivered.len(), people, "{delivered:?}");
        assert!(delivered.values().all(|letters| *letters == 1), "{delivered:?}");
        assert!(!delivered.contains_key("Gone <gone@example.org>"));
        assert_eq!(names_in(&self.path("outbox")).len(), people, "nothing but letters");
        assert_eq!(names_in(&self.path("email.db.cache")), Vec::<String>::new());
    }

    /// The letters that are there, each with what changes when it is written again.
    fn letters(&self) -> BTreeMap<String, (u64, i64, i64)> {
        let names = names_in(&self.path("outbox")).into_iter().filter(|name| name.ends_with(".eml"));
        let stamped = names.map(|name| {
            let metadata = fs::metadata(self.path("outbox").join(&name)).unwrap();
            (name, (metadata.ino(), metadata.mtime(), metadata.mtime_nsec()))
        });
        stamped.collect()
    }
}

#[test]
fn everybody_on_the_list_gets_one_letter_per_campaign() {
    let bench = Bench::new(10);
    assert!(said(&bench.run(&[])).contains("10 letters are in the outbox"));
    bench.check(10);
    let before = bench.letters();
    assert!(said(&bench.run(&[])).contains("is there already, and finished"));
    assert_eq!(bench.letters(), before, "the same campaign sends nothing more");
    said(&bench.run(&["--name", "july"]));
    assert!(bench.delivered().values().all(|letters| *letters == 2), "another one does");
}

#[test]
fn create_and_execute_are_two_programs() {
    let bench = Bench::new(4);
    said(&bench.run(&["create"]));
    said(&bench.run(&["create", "--name", "july"]));
    assert_eq!(bench.delivered().len(), 0, "create sends nothing");
    let text = said(&bench.run(&["execute"]));
    assert_eq!(text.matches("4 letters are in the outbox").count(), 2, "{text}");
    assert!(bench.delivered().values().all(|letters| *letters == 2));
}

#[test]
fn a_list_that_is_missing_or_wrong_can_be_mended() {
    let bench = Bench::new(5);
    fs::rename(bench.path("list"), bench.path("elsewhere")).unwrap();
    let line = complaint(&bench.run(&[]));
    assert!(line.contains("step `generate_audience`: can't read") && line.contains("No such file"), "{line}");
    fs::write(bench.path("list"), "Nobody\n").unwrap();
    let line = complaint(&bench.run(&[]));
    assert!(line.contains("line 1, `Nobody`: there is no address in it"), "{line}");
    fs::rename(bench.path("elsewhere"), bench.path("list")).unwrap();
    said(&bench.run(&[]));
    bench.check(5);
}

#[test]
fn a_command_line_that_makes_no_sense() {
    let bench = Bench::new(1);
    for (arguments, reason) in [
        (&["--nmae", "x"][..], "--nmae"),
        (&["send"], "`send` is no command"),
        (&["--batch", "0"], "--batch 0"),
        (&["--pace", "soon"], "soon"),
    ] {
        let line = complaint(&bench.run(arguments));
        assert!(line.contains(reason), "{arguments:?}: {line}");
    }
}

/// Kills the program when this many letters are there, and runs it again.
fn kill_at(letters: usize) {
    const PEOPLE: usize = 40;
    let bench = Bench::new(PEOPLE);
    let mut job = bench.command(&[]).spawn().unwrap();
    let limit = Instant::now() + Duration::from_secs(60);
    while bench.letters().len() < letters {
        assert!(Instant::now() < limit && job.try_wait().unwrap().is_none(), "{}", bench.letters().len());
        thread::sleep(Duration::from_micros(200));
    }
    job.kill().unwrap();
    job.wait().unwrap();
    let before = bench.letters();
    said(&bench.run(&[]));
    bench.check(PEOPLE);
    let after = bench.letters();
    assert!(before.iter().all(|(name, stamp)| after.get(name) == Some(stamp)), "a letter was written again");
}

/// `PRORCH_KILLS` says how many (6, in the long form 30), `PRORCH_SEED` which.
#[test]
fn everybody_gets_one_letter_whenever_it_is_killed() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let (kills, seed) = (setting("PRORCH_KILLS", pick(6, 30)), setting("PRORCH_SEED", now.as_nanos() as u64));
    say(&format!("{kills} kills of the letters' program, PRORCH_SEED={seed}"));
    let mut random = Random(seed);
    let moments: Vec<_> = (0..kills).map(|_| 1 + (random.draw() % 35) as usize).collect();
    for side_by_side in moments.chunks(3) {
        thread::scope(|scope| {
            side_by_side.iter().for_each(|letters| drop(scope.spawn(|| kill_at(*letters))))
        });
    }
}
