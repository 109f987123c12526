//! The archiver: a process of its own that packs a directory into one `tar.zst` file.
//!
//! It stands for whatever takes long outside of prorch: a database dump, a batch job, another team's service. It is
//! this same program with the hidden subcommand `archive`, so nothing has to be installed.
//!
//! What makes such a job easy to wait for is that it can be started twice without harm. Each run has a directory, a
//! lock in it lets one archiver work at a time, and the last thing that one writes there is a small file which says
//! that the archive is complete. A second one that was started for the same run (because the program that started the
//! first was killed) waits for the lock, finds that file, and is done.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::files::{Hash, part_of, publish, read_if_there, write_whole};
use crate::walk::{Entry, Walk};

/// What an archiver is told.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    /// The directory to pack.
    pub(crate) source: PathBuf,
    /// The vault, which is left out if it lies in the source.
    pub(crate) vault: PathBuf,
    /// The database, which is left out likewise, with all files beside it whose names begin as its does.
    pub(crate) database: PathBuf,
    /// Where to work.
    pub(crate) directory: PathBuf,
}

/// A complete archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Archive {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Its length.
    pub(crate) bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub(crate) sha256: String,
    /// How many files, directories and links are in it.
    pub(crate) entries: u64,
}

/// How far an archiver has come, in bytes of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packed {
    pub(crate) done: u64,
    pub(crate) total: u64,
}

/// The archive that was completed in this directory, if one was.
pub(crate) fn completed(directory: &Path) -> anyhow::Result<Option<Archive>> {
    let Some(json) = read_if_there(&directory.join("archive.json"))? else { return Ok(None) };
    serde_json::from_slice(&json).context("can't read what the archiver wrote").map(Some)
}

/// How far the archiver in this directory says that it has come.
pub(crate) fn packed(directory: &Path) -> Option<Packed> {
    let text = fs::read_to_string(directory.join("progress")).ok()?;
    let (done, total) = text.split_once(' ')?;
    Some(Packed { done: done.parse().ok()?, total: total.parse().ok()? })
}

/// The whole life of an archiver.
pub(crate) fn run(order: &Order) -> anyhow::Result<()> {
    let lock = File::create(order.directory.join("lock")).context("can't create the archiver's lock")?;
    lock.lock().context("can't lock the archiver's directory")?;
    if completed(&order.directory)?.is_some() {
        return Ok(());
    }
    // When the disk is full, what was packed so far is what fills it; and the database may need a little room on it.
    let archive = pack(order).inspect_err(|_| drop(fs::remove_file(part_of(&archive_in(order)))))?;
    let json = serde_json::to_vec(&archive)?;
    write_whole(&order.directory.join("archive.json"), &json)
}

fn archive_in(order: &Order) -> PathBuf {
    order.directory.join("archive.tar.zst")
}

fn pack(order: &Order) -> anyhow::Result<Archive> {
    let entries = Walk::new(&order.source, &order.vault, &order.database)?.entries()?;
    let path = archive_in(order);
    let part = part_of(&path);
    let cannot_write = || format!("can't write the archive `{}`", part.display());
    let file = File::create(&part).with_context(cannot_write)?;
    let zstd = zstd::Encoder::new(Sealed::new(BufWriter::new(file)), 0)?;
    let mut tar = tar::Builder::new(zstd);
    let mut meter = Meter::new(&order.directory, &entries);
    for entry in &entries {
        append(&mut tar, entry, &mut meter)?;
    }
    let sealed = tar.into_inner().and_then(zstd::Encoder::finish).with_context(cannot_write)?;
    let Sealed { file, hash, bytes } = sealed;
    file.into_inner()
        .map_err(io::IntoInnerError::into_error)
        .and_then(|file| file.sync_all())
        .with_context(cannot_write)?;
    publish(&part, &path)?;
    Ok(Archive { path, bytes, sha256: hash.finish(), entries: entries.len() as u64 })
}

fn append<W: Write>(tar: &mut tar::Builder<W>, entry: &Entry, meter: &mut Meter) -> anyhow::Result<()> {
    let cannot_pack = || format!("can't pack `{}`", entry.path.display());
    let mut header = tar::Header::new_gnu();
    header.set_metadata(&entry.metadata);
    if entry.metadata.is_dir() {
        tar.append_data(&mut header, &entry.name, io::empty()).with_context(cannot_pack)
    } else if entry.metadata.is_symlink() {
        let target = fs::read_link(&entry.path).with_context(cannot_pack)?;
        tar.append_link(&mut header, &entry.name, target).with_context(cannot_pack)
    } else {
        let file = File::open(&entry.path).with_context(cannot_pack)?;
        let mut content = Metered { content: file.take(entry.bytes()), meter };
        tar.append_data(&mut header, &entry.name, &mut content).with_context(cannot_pack)?;
        // The header says how much follows: with less, all that comes after it could not be read.
        if content.content.limit() > 0 {
            bail!("`{}` became shorter while it was read", entry.path.display());
        }
        Ok(())
    }
}

/// A file that hashes and counts what is written to it.
struct Sealed<W> {
    file: W,
    hash: Hash,
    bytes: u64,
}

impl<W> Sealed<W> {
    fn new(file: W) -> Self {
        Self { file, hash: Hash::default(), bytes: 0 }
    }
}

impl<W: Write> Write for Sealed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.write_all(&bytes[..written])?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Says in a file how far the archiver has come.
struct Meter {
    file: PathBuf,
    packed: Packed,
    said_at: Option<Instant>,
}

impl Meter {
    const EVERY: Duration = Duration::from_millis(50);

    fn new(directory: &Path, entries: &[Entry]) -> Self {
        let total = entries.iter().map(Entry::bytes).sum();
        Self { file: directory.join("progress"), packed: Packed { done: 0, total }, said_at: None }
    }

    fn add(&mut self, bytes: usize) {
        self.packed.done += bytes as u64;
        if self.said_at.is_some_and(|at| at.elapsed() < Self::EVERY) {
            return;
        }
        self.said_at = Some(Instant::now());
        // Only for people who watch: a progress that can't be written must not cost the archive.
        let _ = fs::write(&self.file, format!("{} {}", self.packed.done, self.packed.total));
    }
}

/// The content of a file, on its way through a meter.
struct Metered<'a> {
    content: io::Take<File>,
    meter: &'a mut Meter,
}

impl Read for Metered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(buffer)?;
        self.meter.add(read);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(root: &Path) -> Order {
        let order = Order {
            source: root.join("source"),
            vault: root.join("source/vault"),
            database: root.join("source/backup.db"),
            directory: root.join("work"),
        };
        fs::create_dir_all(order.source.join("deep/er")).unwrap();
        fs::create_dir_all(&order.directory).unwrap();
        fs::write(order.source.join("deep/er/file"), "content").unwrap();
        order
    }

    fn names(archive: &Archive) -> Vec<String> {
        let file = zstd::Decoder::new(File::open(&archive.path).unwrap()).unwrap();
        let mut tar = tar::Archive::new(file);
        let names = tar.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string());
        names.collect()
    }

    #[test]
    fn leaves_out_the_vault_and_the_database() {
        let root = tempfile::tempdir().unwrap();
        let order = order(root.path());
        fs::create_dir(&order.vault).unwrap();
        for left_out in ["vault/old.tar.zst", "backup.db", "backup.db-wal", "backup.db.ticket-1"] {
            fs::write(order.source.join(left_out), "x").unwrap();
        }
        let archive = pack(&order).unwrap();
        assert_eq!(names(&archive), ["deep", "deep/er", "deep/er/file"]);
        assert_eq!(archive.entries, 3);
    }

    #[test]
    fn says_what_it_has_written() {
        let root = tempfile::tempdir().unwrap();
        let order = order(root.path());
        run(&order).unwrap();
        let archive = completed(&order.directory).unwrap().unwrap();
        assert_eq!(archive.bytes, fs::metadata(&archive.path).unwrap().len());
        assert_eq!(archive.sha256, crate::files::sha256_of(&archive.path).unwrap());
        assert_eq!(packed(&order.directory).unwrap().total, 7);
    }

    #[test]
    fn a_second_one_leaves_a_complete_archive_alone() {
        let root = tempfile::tempdir().unwrap();
        let order = order(root.path());
        run(&order).unwrap();
        let before = completed(&order.directory).unwrap();
        fs::write(order.source.join("later"), "more").unwrap();
        run(&order).unwrap();
        assert_eq!(completed(&order.directory).unwrap(), before);
    }

    #[test]
    fn two_at_once_make_one_archive_that_can_be_read() {
        let root = tempfile::tempdir().unwrap();
        let order = order(root.path());
        std::thread::scope(|scope| {
            let both: Vec<_> = (0..2).map(|_| scope.spawn(|| run(&order))).collect();
            both.into_iter().for_each(|one| one.join().unwrap().unwrap());
        });
        let archive = completed(&order.directory).unwrap().unwrap();
        assert_eq!(names(&archive), ["deep", "deep/er", "deep/er/file"]);
        assert_eq!(archive.sha256, crate::files::sha256_of(&archive.path).unwrap());
    }

    #[test]
    fn works_nowhere_but_in_a_directory_that_is_there() {
        let root = tempfile::tempdir().unwrap();
        let order = Order { directory: root.path().join("swept"), ..order(root.path()) };
        assert!(run(&order).is_err());
        assert!(!order.directory.exists());
    }

    #[test]
    fn leaves_nothing_lying_about_when_it_fails() {
        let root = tempfile::tempdir().unwrap();
        let order = order(root.path());
        fs::create_dir(archive_in(&order)).unwrap();
        assert!(run(&order).is_err(), "the archive can't get its name");
        assert!(!part_of(&archive_in(&order)).exists());
        assert_eq!(completed(&order.directory).unwrap(), None);
    }

    #[test]
    fn names_a_source_that_is_missing() {
        let root = tempfile::tempdir().unwrap();
        let order = Order { source: root.path().join("nowhere"), ..order(root.path()) };
        let error = format!("{:#}", run(&order).unwrap_err());
        assert!(error.starts_with("can't read the source") && error.contains("nowhere"), "{error}");
    }
}
