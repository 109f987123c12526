//! The disk fills up in the midst of the work.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use prorch_testkit::disk::EventKind;
use prorch_testkit::soak::say;

use super::ledger::{Entry, Ledger};
use super::life::{self, Life, Machine, is_ended, is_started};
use super::program::{Pace, Task, Until};

/// Whether a start failed, with words that say what to do.
fn is_told_of(entry: &Entry) -> bool {
    matches!(entry, Entry::Refused(_, why) | Entry::Unknown(_, why) if why.contains("make room"))
}

fn is_stopped(entry: &Entry) -> bool {
    matches!(entry, Entry::Stopped(_) | Entry::Closed(_))
}

/// Waits until the program says what is wrong: to who starts a run, and in its log.
fn until_told(task: &Task, life: &mut Life) {
    let ledger = Ledger::in_directory(&task.outside);
    let log = || std::fs::read_to_string(task.log()).unwrap();
    life::until("a start fails", || {
        assert!(!life.has_ended(), "{}", log());
        ledger.count(is_told_of) > 0
    });
    life::until("the log says so", || log().contains("make room"));
}

#[tokio::test]
async fn in_the_midst_of_the_work_it_waits_for_room_and_goes_on() {
    let machine = Machine::new();
    let task = Task { pace: Pace::Slow, ..machine.task("one").starting(4, 100) };
    let mut life = machine.begin(&task);
    machine.wait_for(20, "runs end", is_ended);
    machine.disk.fill("").unwrap();
    until_told(&task, &mut life);
    let ended = machine.ledger.count(is_ended);
    assert!(ended < 400, "the disk was full before the work was done");
    machine.disk.make_room().unwrap();
    assert!(life.end().success(), "{}", machine.said(&task));
    assert_eq!(machine.ledger.count(is_ended), 400);
    assert_eq!(machine.ledger.count(is_stopped), 0);
    assert_eq!(machine.findings().await, [""; 0]);
}

/// The index of the log is a file too, and is made larger when the log is long.
#[tokio::test]
async fn no_room_for_the_logs_index_is_no_failure_of_the_disk() {
    let machine = Machine::new();
    let task = machine.task("one").starting(1, 80);
    let task = Task { weight: 300_000, until: Until::AllStarted, ..task };
    let mut life = machine.begin(&task);
    machine.wait_for(1, "runs are started", is_started);
    machine.disk.fill("-shm").unwrap();
    life::until("a start fails", || {
        assert!(!life.has_ended(), "{}", machine.said(&task));
        machine.ledger.count(is_told_of) > 0
    });
    assert!(!machine.events(EventKind::Full).is_empty(), "the index did not grow");
    machine.disk.make_room().unwrap();
    assert!(life.end().success(), "{}", machine.said(&task));
    assert_eq!(machine.ledger.count(is_started), 80, "{}", machine.said(&task));
    assert_eq!(machine.findings().await, [""; 0]);
}

#[tokio::test]
async fn while_the_file_is_opened_it_is_not_opened_until_there_is_room() {
    let machine = Machine::new();
    machine.disk.fill("").unwrap();
    let task = machine.task("one").starting(1, 5);
    assert!(machine.begin(&task).end().success(), "{}", machine.said(&task));
    let entries = machine.ledger.read();
    let [Entry::Closed(why)] = &entries[..] else { panic!("{entries:?}") };
    assert!(why.starts_with("Transient") && why.contains("full") && why.contains("make room"), "{why}");
    machine.disk.make_room().unwrap();
    let task = machine.task("two").starting(1, 5);
    assert!(machine.begin(&task).end().success(), "{}", machine.said(&task));
    assert_eq!(machine.ledger.count(is_ended), 5);
}

/// A small file system in memory, with room for the log of all runs. Dropped, it is gone.
struct Mount(PathBuf);

impl Mount {
    /// None where a test may not mount anything.
    fn new(at: &Path) -> Option<Self> {
        std::fs::create_dir(at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=128m", "prorch-test"]).arg(at);
        mount.output().is_ok_and(|done| done.status.success()).then(|| Self(at.to_owned()))
    }

    /// Writes until there is no room.
    fn fill(&self) {
        let mut ballast = File::create(self.0.join("ballast")).unwrap();
        for piece in [1 << 20, 4_096] {
            while ballast.write_all(&vec![0; piece]).is_ok() {}
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_real_file_system_that_fills_up_is_waited_for() {
    let outside = tempfile::tempdir().unwrap();
    let Some(mount) = Mount::new(&outside.path().join("small")) else {
        return say("no file system can be mounted here: a full disk is only played");
    };
    let task = Task::new("one", &mount.0, outside.path()).starting(4, 100);
    let task = Task { pace: Pace::Slow, ..task };
    let ledger = Ledger::in_directory(outside.path());
    let mut life = Life::begin(&mut life::command(&task));
    life::until("runs end", || ledger.count(is_ended) >= 20);
    mount.fill();
    until_told(&task, &mut life);
    assert!(ledger.count(is_ended) < 400, "the disk was full before the work was done");
    mount.make_room();
    assert!(life.end().success());
    assert_eq!((ledger.count(is_ended), ledger.count(is_stopped)), (400, 0));
    assert_eq!(ledger.findings(&task.database).await, [""; 0]);
}
