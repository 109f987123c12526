//! The disk loses what it should and nothing else. Each test is also its own child: with a directory in the environment
//! it plays the part of the program whose power is cut.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, IoSlice, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use prorch_testkit::disk::{Disk, EventKind, Unsynced};

/// Names the directory to the child.
const DIRECTORY: &str = "PRORCH_TEST_DIRECTORY";

/// The directory, when this process is the child.
fn as_child() -> Option<PathBuf> {
    std::env::var_os(DIRECTORY).map(PathBuf::from)
}

/// This program again, with the one test.
fn child(disk: &Disk, test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test]).env(DIRECTORY, disk.directory()).stdout(Stdio::null());
    disk.under(&mut command);
    command
}

fn run(disk: &Disk, test: &str) {
    let done = child(disk, test).output().unwrap();
    assert!(
        done.status.success(),
        "{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
}

fn sync(directory: &Path) {
    File::open(directory).unwrap().sync_all().unwrap();
}

fn names(disk: &Disk) -> Vec<String> {
    let entries = fs::read_dir(disk.directory()).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn content(disk: &Disk, name: &str) -> Vec<u8> {
    fs::read(disk.directory().join(name)).unwrap()
}

#[test]
fn bytes_are_there_up_to_the_last_sync() {
    if let Some(directory) = as_child() {
        let mut file = File::create(directory.join("log")).unwrap();
        file.write_all(&[b'a'; 10_000]).unwrap();
        file.sync_data().unwrap();
        sync(&directory);
        file.write_all(&[b'b'; 10_000]).unwrap();
        file.write_all_at(&[b'c'; 100], 50).unwrap();
        return;
    }
    let disk = Disk::new().unwrap();
    run(&disk, "bytes_are_there_up_to_the_last_sync");
    assert_eq!(content(&disk, "log").len(), 20_000, "the system itself has it all");
    disk.lose_power(Unsynced::Lost).unwrap();
    assert_eq!(content(&disk, "log"), [b'a'; 10_000]);
    disk.lose_power(Unsynced::Lost).unwrap();
    assert_eq!(content(&disk, "log"), [b'a'; 10_000], "what was left is durable");
}

#[test]
fn every_way_to_write_is_seen() {
    if let Some(directory) = as_child() {
        let path = directory.join("log");
        let mut file = File::create(&path).unwrap();
        assert_eq!(file.write_vectored(&[IoSlice::new(b"one "), IoSlice::new(b"two ")]).unwrap(), 8);
        let mut end = OpenOptions::new().append(true).open(&path).unwrap();
        end.write_all(b"three ").unwrap();
        file.write_all_at(b"ONE", 0).unwrap();
        end.try_clone().unwrap().write_all(b"four").unwrap();
        drop(end);
        file.set_len(9_000).unwrap();
        file.set_len(8_000).unwrap();
        File::open(&path).unwrap().sync_data().unwrap();
        sync(&directory);
        return;
    }
    let disk = Disk::new().unwrap();
    run(&disk, "every_way_to_write_is_seen");
    let written = content(&disk, "log");
    assert!(written.starts_with(b"ONE two three four\0"));
    disk.lose_power(Unsynced::Lost).unwrap();
    assert!(content(&disk, "log") == written);
}

#[test]
fn what_was_cut_off_does_not_come_back() {
    if let Some(directory) = as_child() {
        let file = File::create(directory.join("log")).unwrap();
        file.write_all_at(&[b'a'; 30_000], 0).unwrap();
        file.sync_all().unwrap();
        sync(&directory);
        file.set_len(100).unwrap();
        file.write_all_at(b"b", 20_000).unwrap();
        file.sync_all().unwrap();
        return;
    }
    let disk = Disk::new().unwrap();
    run(&disk, "what_was_cut_off_does_not_come_back");
    disk.lose_power(Unsynced::Lost).unwrap();
    let found = content(&disk, "log");
    assert_eq!((found.len(), found[20_000]), (20_001, b'b'));
    assert!(found[..100].iter().all(|byte| *byte == b'a'));
    assert!(found[100..20_000].iter().all(|byte| *byte == 0));
}

#[test]
fn names_are_there_up_to_the_last_sync_of_the_directory() {
    if let Some(directory) = as_child() {
        let make = |name: &str| {
            let mut file = File::create(directory.join(name)).unwrap();
            file.write_all(name.as_bytes()).unwrap();
            file.sync_all().unwrap();
        };
        ["kept", "removed", "moved", "taken"].into_iter().for_each(make);
        sync(&directory);
        fs::remove_file(directory.join("removed")).unwrap();
        fs::rename(directory.join("moved"), directory.join("taken")).unwrap();
        make("new");
        if std::env::var_os("SYNC").is_some() {
            sync(&directory);
        }
        return;
    }
    let test = "names_are_there_up_to_the_last_sync_of_the_directory";
    let disk = Disk::new().unwrap();
    run(&disk, test);
    disk.lose_power(Unsynced::Lost).unwrap();
    assert_eq!(names(&disk), ["kept", "moved", "removed", "taken"]);
    assert_eq!(content(&disk, "taken"), b"taken");

    let disk = Disk::new().unwrap();
    assert!(child(&disk, test).env("SYNC", "").status().unwrap().success());
    disk.lose_power(Unsynced::Lost).unwrap();
    assert_eq!(names(&disk), ["kept", "new", "taken"]);
    assert_eq!(content(&disk, "taken"), b"moved");
}

#[test]
fn of_what_was_not_synced_chance_leaves_a_part() {
    if let Some(directory) = as_child() {
        let file = File::create(directory.join("log")).unwrap();
        file.write_all_at(&[b'a'; 64 * 512], 0).unwrap();
        file.sync_all().unwrap();
        sync(&directory);
        file.write_all_at(&[b'b'; 64 * 512], 0).unwrap();
        return;
    }
    let disk = Disk::new().unwrap();
    run(&disk, "of_what_was_not_synced_chance_leaves_a_part");
    disk.lose_power(Unsynced::Torn(1)).unwrap();
    let found = content(&disk, "log");
    let new = found.chunks(512).filter(|sector| **sector == [b'b'; 512]).count();
    let old = found.chunks(512).filter(|sector| **sector == [b'a'; 512]).count();
    assert_eq!(new + old, 64);
    assert!((8..=56).contains(&new), "{new} of 64 sectors");
}

#[test]
fn a_sync_of_one_process_makes_durable_what_another_wrote() {
    if let Some(directory) = as_child() {
        let path = directory.join("log");
        match std::env::var("ROLE").unwrap().as_str() {
            "writes" => fs::write(path, "written").unwrap(),
            _ => {
                File::open(path).unwrap().sync_all().unwrap();
                sync(&directory);
            }
        }
        return;
    }
    let test = "a_sync_of_one_process_makes_durable_what_another_wrote";
    let disk = Disk::new().unwrap();
    for role in ["writes", "syncs"] {
        assert!(child(&disk, test).env("ROLE", role).status().unwrap().success());
    }
    disk.lose_power(Unsynced::Lost).unwrap();
    assert_eq!(content(&disk, "log"), b"written");
}

#[test]
fn a_disk_that_ignores_syncs_loses_everything() {
    if let Some(directory) = as_child() {
        let mut file = File::create(directory.join("log")).unwrap();
        file.write_all(b"a").unwrap();
        file.sync_all().unwrap();
        return sync(&directory);
    }
    let disk = Disk::new().unwrap();
    let mut command = child(&disk, "a_disk_that_ignores_syncs_loses_everything");
    assert!(disk.under_ignoring_syncs(&mut command).status().unwrap().success());
    let ignored: Vec<_> = disk.events().unwrap().into_iter().map(|event| (event.kind, event.file)).collect();
    assert_eq!(ignored, [(EventKind::Ignored, "log".into()), (EventKind::Ignored, ".".into())]);
    disk.lose_power(Unsynced::Lost).unwrap();
    assert!(names(&disk).is_empty());
}

#[test]
fn a_sync_fails_once_and_what_it_lost_stays_lost() {
    if let Some(directory) = as_child() {
        let file = File::create(directory.join("log")).unwrap();
        sync(&directory);
        file.write_all_at(&[b'a'; 4_096], 0).unwrap();
        assert_eq!(file.sync_all().unwrap_err().raw_os_error(), Some(5), "an I/O error");
        file.write_all_at(&[b'b'; 4_096], 4_096).unwrap();
        return file.sync_all().unwrap();
    }
    let disk = Disk::new().unwrap();
    disk.fail_next_sync("other").unwrap();
    disk.fail_next_sync("og").unwrap();
    run(&disk, "a_sync_fails_once_and_what_it_lost_stays_lost");
    let kinds: Vec<_> = disk.events().unwrap().into_iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::Synced, EventKind::Failed, EventKind::Synced]);
    disk.lose_power(Unsynced::Lost).unwrap();
    let found = content(&disk, "log");
    assert!(found[..4_096].iter().all(|byte| *byte == 0));
    assert!(found[4_096..] == [b'b'; 4_096]);
}

#[test]
fn a_full_disk_takes_only_what_is_there_already() {
    if let Some(directory) = as_child() {
        let mut file = File::create(directory.join("log")).unwrap();
        file.write_all(&[b'a'; 100]).unwrap();
        fs::write(directory.parent().unwrap().join("ready"), "").unwrap();
        until(|| matches!(file.write(b"b"), Err(error) if error.kind() == ErrorKind::StorageFull));
        let length = file.metadata().unwrap().len();
        assert_eq!(file.write_at(b"cc", 0).unwrap(), 2);
        assert_eq!(file.write_at(b"dd", length - 1).unwrap(), 1, "a write that has room for a part");
        fs::write(directory.parent().unwrap().join("full"), "").unwrap();
        return until(|| file.write(b"e").is_ok());
    }
    let disk = Disk::new().unwrap();
    let mut child = Guard(child(&disk, "a_full_disk_takes_only_what_is_there_already").spawn().unwrap());
    until(|| disk.outside().join("ready").exists());
    disk.fill("").unwrap();
    until(|| disk.outside().join("full").exists());
    disk.make_room().unwrap();
    assert!(child.0.wait().unwrap().success());
    assert!(disk.events().unwrap().iter().all(|event| event.kind == EventKind::Full && event.file == "log"));
}

#[test]
fn a_process_freezes_at_a_sync_and_goes_on_when_it_is_woken() {
    if let Some(directory) = as_child() {
        let file = File::create(directory.join("log")).unwrap();
        file.sync_all().unwrap();
        return fs::write(directory.join("end"), "").unwrap();
    }
    let disk = Disk::new().unwrap();
    disk.freeze_at_next_sync("log").unwrap();
    let mut child =
        Guard(child(&disk, "a_process_freezes_at_a_sync_and_goes_on_when_it_is_woken").spawn().unwrap());
    until(|| !disk.events().unwrap().is_empty());
    let frozen = disk.events().unwrap().remove(0);
    assert_eq!((frozen.kind, frozen.process), (EventKind::Frozen, child.0.id()));
    until(|| state_of(frozen.process) == 'T');
    assert!(!disk.directory().join("end").exists());
    assert!(Command::new("kill").args(["-CONT", &frozen.process.to_string()]).status().unwrap().success());
    assert!(child.0.wait().unwrap().success());
    assert!(disk.directory().join("end").exists());
}

#[test]
fn the_power_goes_at_an_operation_that_was_named() {
    if let Some(directory) = as_child() {
        let mut file = File::create(directory.join("log")).unwrap();
        for byte in b"abcdef" {
            file.write_all(&[*byte]).unwrap();
        }
        return;
    }
    let disk = Disk::new().unwrap();
    let mut command = child(&disk, "the_power_goes_at_an_operation_that_was_named");
    let status = disk.under_until(4, &mut command).status().unwrap();
    assert_eq!(status.signal(), Some(9));
    assert_eq!(content(&disk, "log"), b"abc");
    assert_eq!(disk.events().unwrap()[0].kind, EventKind::Cut);
}

/// Ends the child, also when the test fails.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The state of a process, as `ps` shows it.
fn state_of(process: u32) -> char {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
}

fn until(done: impl FnMut() -> bool) {
    let (began, mut done) = (Instant::now(), done);
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(30), "it did not happen");
        std::thread::sleep(Duration::from_millis(2));
    }
}
