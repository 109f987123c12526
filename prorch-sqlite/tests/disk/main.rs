//! What is promised when the disk fails: the power goes, a sync fails, there is no room, a writer freezes.
//!
//! Each test puts a disk that fails (`prorch_testkit::disk`) under a program that starts runs and works on them. What the
//! program was told is written to a ledger on a good disk, and compared with what is stored.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod program;
mod life;
mod ledger;
mod power;
mod sync_fails;
mod full;
mod frozen;

use ledger::Ledger;
use program::Task;

/// As the program, this plays its part; by itself it shows that the program works where nothing fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_does_its_work_on_a_disk_that_is_well() {
    if let Some(task) = Task::of_this_process() {
        program::log(&task);
        return program::play(task).await;
    }
    let directory = tempfile::tempdir().unwrap();
    let task = Task::new("well", directory.path(), directory.path()).starting(3, 10);
    program::play(task.clone()).await;
    let ledger = Ledger::in_directory(directory.path());
    let counts = [life::is_started, life::is_ended].map(|counts| ledger.count(counts));
    assert_eq!(counts, [30, 30]);
    assert_eq!(ledger.findings(&task.database).await, [""; 0]);
}
