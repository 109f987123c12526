//! The power goes.

use std::time::Duration;

use fastrand::Rng;
use prorch_testkit::disk::{EventKind, Unsynced};
use prorch_testkit::soak::{chance, pick, say};

use super::life::{self, Life, Machine, is_ended, is_started};
use super::program::{Durable, Pace, Task, Until};

/// How many operations of the disk a life may last that is cut at one of them: long enough for the log to be copied into
/// the database a few times.
const LONGEST_LIFE: u64 = 40_000;

/// What the lives of a test came to.
#[derive(Default)]
struct Figures {
    /// How many were cut at an operation of the disk, rather than at a time.
    cut: usize,
    /// How often the database itself was synced: when it is made, and when the log is copied into it.
    copies: usize,
}

/// One life of the program, from its start to the end of the power, and what is found wrong after it.
async fn life_and_power_loss(
    machine: &Machine,
    number: u32,
    chance: &mut Rng,
    figures: &mut Figures,
) -> Vec<String> {
    // With heavy runs the log is soon so long that it is copied into the database.
    let weight = if chance.bool() { 0 } else { 300_000 };
    let task = machine.task(&format!("life{number}")).starting(4, pick(100, 400));
    let mut command = life::command(&Task { weight, ..task });
    // One life ends at a time, the next one at an operation.
    let mut life = if number.is_multiple_of(2) {
        let life = Life::begin(machine.disk.under(&mut command));
        let before = machine.ledger.count(is_started);
        machine.wait_for(before + 1, "a run is started", is_started);
        std::thread::sleep(Duration::from_millis(chance.u64(..pick(800, 3_000))));
        life
    } else {
        // As many short lives as long ones: the first operations are those that make and open the file.
        let bits = chance.u32(..LONGEST_LIFE.ilog2());
        let operation = (1 << bits) + chance.u64(..1 << bits);
        let mut life = Life::begin(machine.disk.under_until(operation, &mut command));
        life.end();
        life
    };
    life.kill();
    figures.copies +=
        machine.events(EventKind::Synced).iter().filter(|event| event.file == "runs.db").count();
    figures.cut += machine.events(EventKind::Cut).len();
    let unsynced = if chance.bool() { Unsynced::Lost } else { Unsynced::Torn(chance.u64(..)) };
    machine.disk.lose_power(unsynced).unwrap();
    machine.findings().await
}

#[tokio::test]
async fn nothing_that_was_acknowledged_is_lost_with_the_power() {
    let (machine, mut chance) = (Machine::new(), chance());
    let (lives, mut figures) = (pick(6, 50), Figures::default());
    for life in 0..lives {
        let found = life_and_power_loss(&machine, life, &mut chance, &mut figures).await;
        assert!(found.is_empty(), "after life {life}: {found:#?}");
    }
    machine.end_all("last");
    let found = machine.findings().await;
    assert!(found.is_empty(), "at the end: {found:#?}");
    let (started, ended) = (machine.ledger.count(is_started), machine.ledger.count(is_ended));
    assert!(started > 0, "no run was started in {lives} lives");
    let Figures { cut, copies } = figures;
    say(&format!(
        "power loss: {lives} lives, {cut} of them cut at an operation, {copies} syncs of the database itself; {started} \
         runs started, {ended} ends told, none lost"
    ));
}

/// The moments at which most is under way: a commit that is written and not synced, and the log copied into the database,
/// which is not synced.
#[tokio::test]
async fn nothing_is_lost_when_the_power_goes_before_a_sync() {
    let (machine, mut chance) = (Machine::new(), chance());
    for life in 0..pick(3, 10) {
        // Slowly, so that there are not too many runs that the lives after it have to bring to their ends.
        let first = machine.task(&format!("commit{life}")).starting(4, 1_000_000);
        let first = Task { pace: Pace::Slow, ..first };
        let mut process = machine.begin(&first);
        let before = machine.ledger.count(is_started);
        machine.wait_for(before + 10, "runs are started", is_started);
        machine.disk.freeze_at_next_sync("-wal").unwrap();
        end_at_the_sync(&machine, &mut process, &mut chance).await;

        // So few runs that the log is copied when the file is closed, and not before.
        machine.disk.freeze_at_next_sync(".db").unwrap();
        let second = machine.task(&format!("copy{life}")).starting(4, 10);
        let mut process = machine.begin(&second);
        end_at_the_sync(&machine, &mut process, &mut chance).await;
    }
    machine.end_all("last");
    assert_eq!(machine.findings().await, [""; 0]);
}

async fn end_at_the_sync(machine: &Machine, process: &mut Life, chance: &mut Rng) {
    life::until("the program is at a sync", || {
        assert!(!process.has_ended(), "it ended before: {:?}", machine.ledger.read().last());
        !machine.events(EventKind::Frozen).is_empty()
    });
    process.kill();
    machine.disk.lose_power(Unsynced::Torn(chance.u64(..))).unwrap();
    assert_eq!(machine.findings().await, [""; 0]);
}

#[tokio::test]
async fn a_disk_that_ignores_syncs_loses_what_was_acknowledged() {
    let machine = Machine::new();
    let start = machine.task("start").starting(1, 20);
    let start = Task { until: Until::AllStarted, ..start };
    assert!(machine.begin(&start).end().success(), "{}", machine.said(&start));
    machine.disk.lose_power(Unsynced::Lost).unwrap();
    assert!(machine.findings().await.is_empty());

    let work = machine.task("work").starting(1, 1);
    let mut life = Life::begin(machine.disk.under_ignoring_syncs(&mut life::command(&work)));
    assert!(life.end().success(), "{}", machine.said(&work));
    assert_eq!(machine.ledger.count(is_ended), 1, "the program was told that all is well");
    machine.disk.lose_power(Unsynced::Lost).unwrap();
    let found = machine.findings().await;
    assert_eq!(found, ["work/0/0 is lost", "that work/0/0 ended is lost"]);

    machine.end_all("again");
    let again = machine.ledger.went_back().len();
    assert_eq!(
        again,
        20 * 5,
        "of the six calls of each run all but the last were made again after a later one"
    );
}

#[tokio::test]
async fn at_the_durability_of_a_process_crash_the_newest_go_first_and_the_rest_is_whole() {
    let (machine, mut chance) = (Machine::new(), chance());
    let mut lost = 0;
    for life in 0..pick(3, 20) {
        let name = format!("life{life}");
        let task = machine.task(&name).starting(1, 1_000);
        let task = Task { durability: Durable::ProcessCrash, until: Until::AllStarted, ..task };
        let mut process = machine.begin(&task);
        machine.wait_for(
            20,
            "runs are started",
            |entry| matches!(entry, super::ledger::Entry::Started(key) if key.starts_with(&name)),
        );
        process.kill();
        assert_eq!(machine.findings().await, [""; 0], "a crash of the process loses nothing");
        let before = stored_of(&machine, &name).await;
        let unsynced = if life == 0 { Unsynced::Lost } else { Unsynced::Torn(chance.u64(..)) };
        machine.disk.lose_power(unsynced).unwrap();
        let after = stored_of(&machine, &name).await;
        assert_eq!(
            after,
            Vec::from_iter(0..after.len()),
            "the oldest are there, and none is missing between them"
        );
        lost += before.len() - after.len();
        // What is gone is not asked for again.
        std::fs::remove_file(machine.disk.outside().join("ledger")).unwrap();
    }
    assert!(lost > 0, "this durability is no weaker than the other one");
}

/// The numbers of the runs that one life started and that are there, in order.
async fn stored_of(machine: &Machine, life: &str) -> Vec<usize> {
    let copy = tempfile::tempdir().unwrap();
    let database = machine.copy(copy.path());
    if !database.exists() {
        return Vec::new();
    }
    let stored = super::ledger::stored(&database).await;
    let number = |key: &String| key.strip_prefix(life)?.strip_prefix("/0/")?.parse().ok();
    let mut numbers: Vec<usize> = stored.keys().filter_map(number).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn a_commit_is_a_sync_of_the_log() {
    let machine = Machine::new();
    let task = machine.task("count").starting(1, 50);
    let task = Task { until: Until::AllStarted, ..task };
    assert!(machine.begin(&task).end().success());
    let syncs =
        machine.events(EventKind::Synced).into_iter().filter(|event| event.file == "runs.db-wal").count();
    assert!(syncs >= 50, "{syncs} syncs of the log for 50 starts, one after the other");
}
