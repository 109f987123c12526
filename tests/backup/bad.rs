//! What it says when something is wrong, and that it goes on when that is mended.

use std::fs;

use crate::bench::Bench;
use crate::example_program::{complaint, said};

#[test]
fn a_command_line_that_makes_no_sense() {
    let bench = Bench::new();
    let vault = bench.source();
    for (arguments, reason) in [
        (&["--sauce", "x"][..], "--sauce"),
        (&["destroy"], "`destroy` is no command"),
        (&["--crash-after", "Nothing"], "it is one of BackupGeneration, "),
        (&["--chunk", "0"], "--chunk 0"),
        (&["--chunk", "many"], "many"),
        (&["--vault"], "--vault"),
        (&["--vault", vault.to_str().unwrap()], "the source itself"),
        (&["--webhook", "https://example.org"], "http://"),
    ] {
        let line = complaint(&bench.run(arguments));
        assert!(line.contains(reason), "{arguments:?}: {line}");
    }
    assert!(!bench.database().exists(), "nothing was started");
}

#[test]
fn a_source_that_is_missing() {
    let bench = Bench::new();
    let elsewhere = bench.path("elsewhere");
    fs::rename(bench.source(), &elsewhere).unwrap();
    let line = complaint(&bench.run(&[]));
    assert!(line.contains("can't read the source") && line.contains("No such file"), "{line}");
    fs::rename(elsewhere, bench.source()).unwrap();
    said(&bench.run(&[]));
    bench.check();
}

#[test]
fn a_source_that_goes_missing_between_create_and_execute() {
    let bench = Bench::new();
    said(&bench.run(&["create"]));
    let elsewhere = bench.path("elsewhere");
    fs::rename(bench.source(), &elsewhere).unwrap();
    let line = complaint(&bench.run(&["execute"]));
    assert!(line.contains("at step `BackupGeneration`: can't read the source"), "{line}");
    fs::rename(elsewhere, bench.source()).unwrap();
    let text = said(&bench.run(&["execute"]));
    assert!(text.contains("resuming run"), "{text}");
    bench.check();
}

#[test]
fn a_vault_that_can_not_be_written() {
    let bench = Bench::new();
    fs::write(bench.vault(), "a file where a directory should be").unwrap();
    let line = complaint(&bench.run(&[]));
    assert!(line.contains("at step `BackupTransfer`: can't create the vault"), "{line}");
    let archived = bench.journal().iter().filter(|(step, _)| step == "BackupGeneration").count();
    fs::remove_file(bench.vault()).unwrap();
    let text = said(&bench.run(&[]));
    assert!(text.contains("resuming run") && text.contains("at step BackupTransfer"), "{text}");
    bench.check();
    let archived_since = bench.journal().iter().filter(|(step, _)| step == "BackupGeneration").count();
    assert_eq!(archived_since, archived, "the archive was made already");
}

#[test]
fn a_database_that_can_not_be_opened() {
    let bench = Bench::new();
    fs::create_dir(bench.database()).unwrap();
    assert!(complaint(&bench.run(&[])).contains("can't open the database"));
    fs::remove_dir(bench.database()).unwrap();
    said(&bench.run(&[]));
    bench.check();
}
