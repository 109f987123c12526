//! What it leaves when all goes well.

use crate::bench::Bench;
use crate::example_program::{names_in, said};

#[test]
fn the_archive_unpacks_to_the_tree_and_the_receipt_is_right() {
    let bench = Bench::new().with_noise(3, 100_000);
    let text = said(&bench.run(&["--chunk", "30000"]));
    let receipt = bench.check();
    assert_eq!(receipt["source"], bench.source().to_str().unwrap());
    assert!(text.contains("BackupTransfer: finished") && text.contains("receipt: "), "{text}");
    assert!(!text.contains('\x1b') && !text.contains('\r'), "no bars where there is no terminal: {text:?}");
    let chunks = bench.journal().iter().filter(|(_, does)| does.starts_with("goes on at byte")).count();
    assert_eq!(chunks as u64, receipt["bytes"].as_u64().unwrap().div_ceil(30_000) + 1);
}

#[test]
fn the_same_command_after_a_finished_backup_makes_another() {
    let bench = Bench::new();
    said(&bench.run(&[]));
    bench.check();
    said(&bench.run(&[]));
    assert_eq!(names_in(&bench.vault()).len(), 4);
}

#[test]
fn create_and_execute_are_two_programs() {
    let bench = Bench::new();
    let created = said(&bench.run(&["create"]));
    let again = said(&bench.run(&["create"]));
    assert!(created.contains("is created") && again.contains("was created before"), "{created}{again}");
    assert_eq!(created.split(' ').nth(1), again.split(' ').nth(1));
    assert!(!bench.vault().exists() && bench.journal().is_empty(), "create does nothing yet");
    said(&bench.run(&["execute"]));
    bench.check();
    said(&bench.run(&["execute"]));
    bench.check();
    assert!(said(&bench.run(&["create"])).contains("is created"));
}

#[test]
fn a_vault_and_a_database_in_the_source_are_left_out() {
    let bench = Bench::new();
    let inside = |name| bench.source().join(name);
    let mut command = crate::example_program::program("backup");
    command.arg("--source").arg(bench.source()).arg("--vault").arg(inside("vault"));
    command.arg("--database").arg(inside("backup.db"));
    said(&command.output().unwrap());
    let receipt = names_in(&inside("vault")).into_iter().find(|name| name.ends_with(".json")).unwrap();
    let receipt: serde_json::Value =
        serde_json::from_slice(&std::fs::read(inside("vault").join(receipt)).unwrap()).unwrap();
    // Everything that `Bench::new` puts there: three directories of four are inside of another.
    assert_eq!(receipt["entries"], 11);
}

#[test]
fn help_names_every_option() {
    let text = said(&crate::example_program::program("backup").arg("--help").output().unwrap());
    for option in ["create", "execute", "--source", "--vault", "--database", "--webhook", "--crash-after"] {
        assert!(text.contains(option), "{option}: {text}");
    }
}
