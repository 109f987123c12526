//! Files that are there whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use sha2::{Digest, Sha256};

/// The name that a file has while it is being written.
pub(crate) fn part_of(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".part");
    name.into()
}

/// Gives a file that is completely written and synced its real name. When this returns, it keeps it through a power
/// loss.
pub(crate) fn publish(part: &Path, path: &Path) -> anyhow::Result<()> {
    fs::rename(part, path).with_context(|| format!("can't rename `{}`", part.display()))?;
    sync_directory_of(path)
}

/// Writes a small file under its real name, all of it or nothing.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let part = part_of(path);
    let write = || {
        let mut file = File::create(&part)?;
        file.write_all(content)?;
        file.sync_all()
    };
    write().with_context(|| format!("can't write `{}`", path.display()))?;
    publish(&part, path)
}

/// The file's content; none when there is no such file.
pub(crate) fn read_if_there(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("can't read `{}`", path.display())),
    }
}

/// A new name is durable when the directory that holds it is. Only Unix can sync one, and only there it is needed.
pub(crate) fn sync_directory_of(path: &Path) -> anyhow::Result<()> {
    let Some(directory) = path.parent().filter(|_| cfg!(unix)) else { return Ok(()) };
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .with_context(|| format!("can't sync `{}`", directory.display()))
}

/// The SHA-256 of a file's content, in hexadecimal.
pub(crate) fn sha256_of(path: &Path) -> anyhow::Result<String> {
    let mut hash = Hash::default();
    File::open(path)
        .and_then(|mut file| std::io::copy(&mut file, &mut hash))
        .with_context(|| format!("can't read `{}`", path.display()))?;
    Ok(hash.finish())
}

/// A SHA-256 that can be written to.
#[derive(Default)]
pub(crate) struct Hash(Sha256);

impl Hash {
    /// The hash of what was written, in hexadecimal.
    pub(crate) fn finish(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Write for Hash {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
