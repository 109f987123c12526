//! A disk that fails as disks do, under a child process: the power goes, a sync fails, there is no room, a writer freezes
//! in the midst of a write. For Linux, without root.
//!
//! Between the child and its C library comes a small library of our own (`shim/disk.c`, which says exactly what it counts
//! as durable). It is compiled here, by `cc`, and preloaded. The child is any program that is linked dynamically: mostly
//! the test itself, started again.
//!
//! ```no_run
//! # fn main() -> std::io::Result<()> {
//! use prorch_testkit::disk::{Disk, Unsynced};
//!
//! let disk = Disk::new()?;
//! let mut worker = std::process::Command::new("worker");
//! worker.arg(disk.directory().join("runs.db"));
//! let mut worker = disk.under(&mut worker).spawn()?;
//! std::thread::sleep(std::time::Duration::from_millis(100));
//! worker.kill()?;
//! worker.wait()?;
//! disk.lose_power(Unsynced::Lost)?; // now `directory()` holds what was synced, and nothing else
//! # Ok(())
//! # }
//! ```

mod shim;
mod power;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

pub use power::Unsynced;

use tempfile::TempDir;

/// One directory on a disk that fails when it is told to. Dropped, it is removed.
///
/// It is for files that lie directly in the directory and are no longer than 1 GiB. What is written to them from outside
/// of a command that is [`under`](Self::under) it (by the test itself, say) counts as never synced.
#[derive(Debug)]
pub struct Disk {
    home: TempDir,
}

/// What happened at a sync or a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// The name of the file; `.` is the directory.
    pub file: String,
    /// The process that it happened to.
    pub process: u32,
}

/// The kind of an [`Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// A sync did its work.
    Synced,
    /// A sync did nothing and said that all is well.
    Ignored,
    /// A sync failed.
    Failed,
    /// A write found no room.
    Full,
    /// The process was stopped before a sync.
    Frozen,
    /// The power went.
    Cut,
}

impl Disk {
    /// An empty directory on a disk that works.
    ///
    /// # Errors
    ///
    /// When there is no place for temporary files, or the library can't be compiled: then it holds what `cc` said.
    pub fn new() -> io::Result<Self> {
        let disk = Self { home: tempfile::tempdir()? };
        fs::create_dir(disk.files())?;
        shim::compile(&disk.library())?;
        power::settle(&disk.files(), &disk.state())?;
        Ok(disk)
    }

    /// The directory. It has the same path after a power loss.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        self.files()
    }

    /// A directory on a disk that never fails, for what the child tells the test.
    #[must_use]
    pub fn outside(&self) -> &Path {
        self.home.path()
    }

    /// Puts the disk under the process that the command starts, and under those that it starts in turn.
    pub fn under<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command
            .env("LD_PRELOAD", self.library())
            .env("PRORCH_DISK", self.files())
            .env("PRORCH_DISK_STATE", self.state())
    }

    /// As [`under`](Self::under), but the disk ignores syncs and says that all is well: for a test of the test, which
    /// has to find that something is lost.
    pub fn under_ignoring_syncs<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        self.under(command).env("PRORCH_DISK_SYNCS", "ignored")
    }

    /// As [`under`](Self::under), and the process is killed in place of its write, truncation or sync of this number,
    /// counted from 1: a moment that is found again.
    pub fn under_until<'c>(&self, operation: u64, command: &'c mut Command) -> &'c mut Command {
        self.under(command).env("PRORCH_DISK_CUT", operation.to_string())
    }

    /// Leaves in the directory what is there after the power came back. All processes under the disk must have been
    /// killed; the next ones find everything synced, no room taken away and no failure ahead.
    ///
    /// # Errors
    ///
    /// When files can't be copied.
    pub fn lose_power(&self, unsynced: Unsynced) -> io::Result<()> {
        let survivors = power::survivors(&self.files(), &self.state(), unsynced)?;
        fs::remove_dir_all(self.files())?;
        fs::create_dir(self.files())?;
        for (name, bytes) in survivors {
            fs::write(self.files().join(name), bytes)?;
        }
        power::settle(&self.files(), &self.state())
    }

    /// The next sync of a file whose name ends with this fails, and what it should have made durable is lost: later syncs
    /// succeed and don't bring it back.
    ///
    /// # Errors
    ///
    /// When no file can be made.
    pub fn fail_next_sync(&self, of: &str) -> io::Result<()> {
        self.set(SYNC_FAILS, of)
    }

    /// The process whose sync of a file with this end of its name comes next is stopped (SIGSTOP) before it.
    ///
    /// # Errors
    ///
    /// When no file can be made.
    pub fn freeze_at_next_sync(&self, of: &str) -> io::Result<()> {
        self.set(FREEZE, of)
    }

    /// From now on no file grows whose name ends with this (with nothing: none at all); what is there already can be
    /// overwritten.
    ///
    /// # Errors
    ///
    /// When no file can be made.
    pub fn fill(&self, of: &str) -> io::Result<()> {
        self.set(FULL, of)
    }

    /// Files can grow again.
    ///
    /// # Errors
    ///
    /// When the disk was not full.
    pub fn make_room(&self) -> io::Result<()> {
        fs::remove_file(self.state().join(FULL))
    }

    /// What happened since the disk was made or the power came back, in order.
    ///
    /// # Errors
    ///
    /// When it can't be read.
    pub fn events(&self) -> io::Result<Vec<Event>> {
        match fs::read_to_string(self.state().join("log")) {
            Ok(text) => text.lines().map(shim::event).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Makes a trigger in one step: it is not there, or holds all that it should.
    fn set(&self, trigger: &str, of: &str) -> io::Result<()> {
        let made = self.state().join(format!("{trigger}.made"));
        fs::write(&made, of)?;
        fs::rename(made, self.state().join(trigger))
    }

    fn files(&self) -> PathBuf {
        self.home.path().join("files")
    }

    fn state(&self) -> PathBuf {
        self.home.path().join("state")
    }

    fn library(&self) -> PathBuf {
        self.home.path().join("disk.so")
    }
}

/// The triggers, by the names that the library knows.
const SYNC_FAILS: &str = "sync-fails";
const FREEZE: &str = "freeze";
const FULL: &str = "full";
