//! What is in the source, without what belongs to the backup itself.

use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::{Context, ensure};

/// A way through the source.
pub(crate) struct Walk {
    source: PathBuf,
    vault: PathBuf,
    database: PathBuf,
}

impl Walk {
    /// The way through this directory, which must be there.
    pub(crate) fn new(source: &Path, vault: &Path, database: &Path) -> anyhow::Result<Self> {
        let canonical_source = fs::canonicalize(source)
            .with_context(|| format!("can't read the source `{}`", source.display()))?;
        ensure!(canonical_source.is_dir(), "the source `{}` is not a directory", source.display());
        Ok(Self { source: canonical_source, vault: canonical(vault), database: canonical(database) })
    }

    /// What is to be packed, sorted by path: the same tree gives the same archive.
    pub(crate) fn entries(&self) -> anyhow::Result<Vec<Entry>> {
        let mut found = Vec::new();
        let mut open = vec![self.source.clone()];
        while let Some(directory) = open.pop() {
            for path in children(&directory)?.into_iter().filter(|path| !self.is_left_out(path)) {
                let entry = Entry::at(&self.source, path)?;
                if entry.metadata.is_dir() {
                    open.push(entry.path.clone());
                }
                found.push(entry);
            }
        }
        found.retain(Entry::can_be_packed);
        found.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(found)
    }

    fn is_left_out(&self, path: &Path) -> bool {
        let database = self.database.as_os_str().as_encoded_bytes();
        path == self.vault || path.as_os_str().as_encoded_bytes().starts_with(database)
    }
}

/// The path without links, as far as it is there.
fn canonical(path: &Path) -> PathBuf {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return path.into() };
    fs::canonicalize(path)
        .or_else(|_| fs::canonicalize(parent).map(|parent| parent.join(name)))
        .unwrap_or_else(|_| path.into())
}

fn children(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let list = || fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path())).collect();
    let paths: io::Result<Vec<PathBuf>> = list();
    paths.with_context(|| format!("can't read the directory `{}`", directory.display()))
}

/// Something in the source.
pub(crate) struct Entry {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Its name in the archive: the path from the source on.
    pub(crate) name: PathBuf,
    pub(crate) metadata: fs::Metadata,
}

impl Entry {
    fn at(source: &Path, path: PathBuf) -> anyhow::Result<Self> {
        let cannot_read = || format!("can't read `{}`", path.display());
        let metadata = fs::symlink_metadata(&path).with_context(cannot_read)?;
        let name = path.strip_prefix(source).with_context(cannot_read)?.to_owned();
        Ok(Self { path, name, metadata })
    }

    /// Sockets, pipes and devices have no content that could be packed.
    fn can_be_packed(&self) -> bool {
        self.metadata.is_dir() || self.metadata.is_file() || self.metadata.is_symlink()
    }

    /// How many bytes are read for it.
    pub(crate) fn bytes(&self) -> u64 {
        if self.metadata.is_file() { self.metadata.len() } else { 0 }
    }
}
