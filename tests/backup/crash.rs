//! `--crash-after`: the process ends right after a commit, and the same command goes on behind it.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use crate::bench::{Bench, STEPS};
use crate::example_program::{complaint, names_in, said};

/// The id in a line like `resuming run ID at …`.
fn run_id(text: &str) -> &str {
    let rest = text.split("run ").nth(1).unwrap();
    &rest[..36]
}

fn crash_after(step: &str) -> (Bench, String) {
    let bench = Bench::new();
    let arguments = ["--crash-after", step];
    let crashed = bench.run(&arguments);
    assert_eq!(crashed.status.signal(), Some(6), "{}", String::from_utf8_lossy(&crashed.stderr));
    let calls = bench.journal().len();
    assert_eq!(bench.journal().last().unwrap().0, step, "no step was called after it");
    let text = said(&bench.run(&arguments));
    assert_eq!(run_id(&text), run_id(std::str::from_utf8(&crashed.stdout).unwrap()));
    bench.check();
    let since: Vec<_> = bench.journal().into_iter().skip(calls).map(|(step, _)| step).collect();
    let done = STEPS.iter().position(|other| *other == step).unwrap();
    assert!(since.iter().all(|called| !STEPS[..=done].contains(&called.as_str())), "{since:?}");
    (bench, text)
}

#[test]
fn after_the_first_step() {
    let (_, text) = crash_after(STEPS[0]);
    assert!(text.starts_with("resuming run") && text.contains(" at step BackupTransfer"), "{text}");
}

#[test]
fn after_the_second_step() {
    let (_, text) = crash_after(STEPS[1]);
    assert!(text.starts_with("resuming run") && text.contains(" at step ProcessCompletion"), "{text}");
}

#[test]
fn after_the_last_step() {
    let (bench, text) = crash_after(STEPS[2]);
    assert!(text.contains("had ended, and nobody was told"), "{text}");
    said(&bench.run(&[]));
    assert_eq!(names_in(&bench.vault()).len(), 4, "now that it was told, the next one is another backup");
}

#[test]
fn execute_goes_on_behind_a_crash_too() {
    let bench = Bench::new();
    said(&bench.run(&["create"]));
    let crashed = bench.run(&["execute", "--crash-after", "BackupTransfer"]);
    assert_eq!(crashed.status.signal(), Some(6), "{}", String::from_utf8_lossy(&crashed.stderr));
    assert!(said(&bench.run(&["execute"])).contains("at step ProcessCompletionNotification"));
    bench.check();
}

#[test]
fn a_copy_that_somebody_damaged_is_made_anew() {
    let bench = Bench::new().with_noise(1, 400_000);
    let mut copying = bench.command().args(["--chunk", "1000"]).spawn().unwrap();
    let limit = Instant::now() + Duration::from_secs(30);
    while bench.journal().iter().filter(|(step, _)| step == "BackupTransfer").count() < 20 {
        assert!(Instant::now() < limit && copying.try_wait().unwrap().is_none(), "{:?}", bench.journal());
        std::thread::sleep(Duration::from_millis(1));
    }
    copying.kill().unwrap();
    copying.wait().unwrap();
    let part = names_in(&bench.vault()).into_iter().find(|name| name.ends_with(".part")).unwrap();
    let mut content = fs::read(bench.vault().join(&part)).unwrap();
    content[5] ^= 1;
    fs::write(bench.vault().join(part), content).unwrap();
    let line = complaint(&bench.run(&[]));
    assert!(line.contains("damaged") && line.contains("SHA-256"), "{line}");
    said(&bench.run(&[]));
    bench.check();
}
