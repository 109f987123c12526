//! A sync fails. What it should have made durable is lost, though the system still shows it, and a second sync would say
//! that all is well.

use prorch_testkit::disk::{Event, EventKind, Unsynced};

use super::ledger::Entry;
use super::life::{Machine, is_ended, is_started};
use super::program::{Task, Until};

/// The program stopped by itself, and said what to do.
fn assert_told(machine: &Machine, task: &Task) {
    let stopped = machine.ledger.count(|entry| matches!(entry, Entry::Stopped(why) if tells_what_to_do(why)));
    assert_eq!(stopped, 1, "{}", machine.said(task));
    let log = machine.log(task);
    let told = log.lines().filter(|line| line.contains("ERROR") && tells_what_to_do(line)).count();
    assert!(told > 0, "{log}");
}

fn tells_what_to_do(text: &str) -> bool {
    text.contains("disk I/O error") && text.contains("look after") && text.contains("then open it again")
}

/// After a sync failed, no other one was tried.
fn assert_no_second_sync(machine: &Machine, file: &str) {
    let events = machine.disk.events().unwrap();
    let failed = events.iter().position(|event| event.kind == EventKind::Failed).unwrap();
    assert_eq!(events[failed].file, file);
    let after: Vec<&Event> =
        events[failed + 1..].iter().filter(|event| event.kind == EventKind::Synced).collect();
    assert!(after.is_empty(), "{after:?}");
}

/// Nothing is missing that was acknowledged, as long as the system runs and after the power came back; the program goes on.
async fn assert_nothing_lost(machine: &Machine) {
    assert_eq!(machine.findings().await, [""; 0]);
    machine.disk.lose_power(Unsynced::Lost).unwrap();
    assert_eq!(machine.findings().await, [""; 0]);
    machine.end_all("again");
    assert_eq!(machine.findings().await, [""; 0]);
}

#[tokio::test]
async fn at_a_commit_the_program_stops_and_says_what_is_unknown() {
    let machine = Machine::new();
    let task = machine.task("first").starting(4, 1_000_000);
    let mut life = machine.begin(&task);
    machine.wait_for(50, "runs end", is_ended);
    machine.disk.fail_next_sync("-wal").unwrap();
    assert!(life.end().success(), "{}", machine.said(&task));
    assert_told(&machine, &task);
    assert_no_second_sync(&machine, "runs.db-wal");
    assert_nothing_lost(&machine).await;
}

#[tokio::test]
async fn a_start_whose_commit_failed_is_told_as_unknown() {
    let machine = Machine::new();
    let task = machine.task("first").starting(1, 1_000_000);
    // Nothing is written but by starts: it is one of them whose commit fails.
    let task = Task { until: Until::AllStarted, ..task };
    let mut life = machine.begin(&task);
    machine.wait_for(20, "runs are started", is_started);
    machine.disk.fail_next_sync("-wal").unwrap();
    assert!(life.end().success(), "{}", machine.said(&task));
    let entries = machine.ledger.read();
    let [.., Entry::Unknown(unknown, _), Entry::Refused(refused, _)] = &entries[..] else {
        panic!("{entries:?}")
    };
    assert_eq!(unknown, refused, "when it is asked for again, the file is given up");
    assert_no_second_sync(&machine, "runs.db-wal");
    assert_nothing_lost(&machine).await;
}

#[tokio::test]
async fn in_a_copy_of_the_log_the_file_is_given_up_too() {
    let machine = Machine::new();
    // So heavy that the log is soon so long that it is copied into the database.
    let task = Task { weight: 300_000, until: Until::AllStarted, ..machine.task("first").starting(1, 1_000) };
    let mut life = machine.begin(&task);
    machine.wait_for(1, "runs are started", is_started);
    machine.disk.fail_next_sync(".db").unwrap();
    assert!(life.end().success(), "{}", machine.said(&task));
    let last = machine.ledger.read().pop();
    assert!(matches!(&last, Some(Entry::Refused(_, why)) if tells_what_to_do(why)), "{last:?}");
    assert!(machine.log(&task).lines().any(|line| line.contains("ERROR") && tells_what_to_do(line)));
    assert_no_second_sync(&machine, "runs.db");
    machine.disk.lose_power(Unsynced::Lost).unwrap();
    assert_eq!(machine.findings().await, [""; 0]);
}

#[tokio::test]
async fn while_the_file_is_opened_it_is_not_opened() {
    for file in ["-wal", ".db"] {
        let machine = Machine::new();
        machine.disk.fail_next_sync(file).unwrap();
        let task = machine.task("first").starting(1, 5);
        assert!(machine.begin(&task).end().success(), "{}", machine.said(&task));
        let entries = machine.ledger.read();
        let [Entry::Closed(why)] = &entries[..] else { panic!("{entries:?}") };
        assert!(
            why.starts_with("Broken") && why.contains("disk I/O error") && why.contains("look after"),
            "{why}"
        );
        if file == "-wal" {
            // Before there is a log, SQLite undoes what it wrote to the database, and syncs that.
            assert_no_second_sync(&machine, "runs.db-wal");
        }
        machine.disk.lose_power(Unsynced::Lost).unwrap();
        let again = machine.task("again").starting(1, 5);
        assert!(machine.begin(&again).end().success(), "{}", machine.said(&again));
        assert_eq!(machine.ledger.count(is_ended), 5);
    }
}

/// The log was synced by the commits; it stays where it can't be copied.
#[tokio::test]
async fn when_the_file_is_closed_nothing_is_lost() {
    let machine = Machine::new();
    let first = machine.task("first").starting(1, 5);
    assert!(machine.begin(&first).end().success(), "{}", machine.said(&first));
    // So few runs that the log is copied into the database for the first time when it is closed.
    machine.disk.fail_next_sync(".db").unwrap();
    let second = machine.task("second").starting(1, 5);
    assert!(machine.begin(&second).end().success(), "{}", machine.said(&second));
    assert_no_second_sync(&machine, "runs.db");
    assert_eq!(machine.ledger.count(is_ended), 10);
    assert_nothing_lost(&machine).await;
}
