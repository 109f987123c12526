//! Tickets: what makes *the same command again* mean *the same backup again*.
//!
//! A ticket is a small file beside the database. It holds the key that a run is started under, and it is there from
//! before the run is started until after its end was reported. As two starts with one key make one run, a program that
//! is cut off anywhere in between finds its run again; also when that had just finished and nobody was told.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::files::{Hash, read_if_there, sync_directory_of, write_whole};
use crate::pipeline::BackupRequest;

/// An open ticket.
#[derive(Debug)]
pub(crate) struct Ticket {
    path: PathBuf,
    pub(crate) entry: Entry,
}

/// What is in it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// What the run is started under.
    pub(crate) key: String,
    /// What it is started with.
    pub(crate) request: BackupRequest,
}

impl Ticket {
    /// The open ticket for this request, if there is one.
    pub(crate) fn find(database: &Path, request: &BackupRequest) -> anyhow::Result<Option<Self>> {
        Self::read(path(database, request)?)
    }

    /// The open ticket for this request; a new one if there is none.
    pub(crate) fn open(database: &Path, request: &BackupRequest) -> anyhow::Result<Self> {
        let desk = beside(database, ".tickets");
        let directory = desk.parent().context("the database has no directory")?;
        fs::create_dir_all(directory).with_context(|| format!("can't create `{}`", directory.display()))?;
        // Two commands at one time get one ticket. The lock ends with the file's handle.
        let lock = File::create(&desk).with_context(|| format!("can't create `{}`", desk.display()))?;
        lock.lock().with_context(|| format!("can't lock `{}`", desk.display()))?;
        let path = path(database, request)?;
        if let Some(ticket) = Self::read(path.clone())? {
            return Ok(ticket);
        }
        let entry =
            Entry { key: format!("{}-{}", nanoseconds(), identity(request)?), request: request.clone() };
        write_whole(&path, &serde_json::to_vec_pretty(&entry)?)?;
        Ok(Self { path, entry })
    }

    /// All open tickets, the oldest first.
    pub(crate) fn all(database: &Path) -> anyhow::Result<Vec<Self>> {
        let mut tickets = Vec::new();
        for path in files_beside(database)?.into_iter().filter(|path| is_ticket(database, path)) {
            tickets.extend(Self::read(path)?);
        }
        tickets.sort_by(|one, other| one.entry.key.cmp(&other.entry.key));
        Ok(tickets)
    }

    /// Closes the ticket: the next command like the one that opened it starts a backup of its own.
    pub(crate) fn close(self) -> anyhow::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("can't remove `{}`", self.path.display()))
            }
            _ => sync_directory_of(&self.path),
        }
    }

    fn read(path: PathBuf) -> anyhow::Result<Option<Self>> {
        let Some(json) = read_if_there(&path)? else { return Ok(None) };
        let entry = serde_json::from_slice(&json)
            .with_context(|| format!("`{}` does not hold what a ticket holds", path.display()))?;
        Ok(Some(Self { path, entry }))
    }
}

/// What stands between the database's name and the ticket's.
const INFIX: &str = ".ticket-";

/// Where the ticket for this request is.
fn path(database: &Path, request: &BackupRequest) -> anyhow::Result<PathBuf> {
    Ok(beside(database, &format!("{INFIX}{}", identity(request)?)))
}

fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

fn files_beside(database: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let directory = database.parent().context("the database has no directory")?;
    let cannot_read = || format!("can't read `{}`", directory.display());
    match fs::read_dir(directory) {
        Ok(entries) => {
            let paths: io::Result<_> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
            paths.with_context(cannot_read)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(cannot_read),
    }
}

fn is_ticket(database: &Path, path: &Path) -> bool {
    let prefix = beside(database, INFIX);
    let is_whole = path.extension().is_none_or(|extension| extension != "part");
    is_whole && path.as_os_str().as_encoded_bytes().starts_with(prefix.as_os_str().as_encoded_bytes())
}

/// Two commands ask for the same backup when they name the same source, vault and webhook. (How much is copied at a
/// time may change on the way.)
fn identity(request: &BackupRequest) -> anyhow::Result<String> {
    let mut hash = Hash::default();
    serde_json::to_writer(&mut hash, &(&request.source, &request.vault, &request.webhook))?;
    Ok(hash.finish()[..12].to_owned())
}

/// Makes one key differ from the next, and sorts them by age.
fn nanoseconds() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(source: &str) -> BackupRequest {
        BackupRequest { source: source.into(), vault: "/vault".into(), webhook: None, chunk: 1 }
    }

    #[test]
    fn one_request_has_one_ticket_until_it_is_closed() {
        let directory = tempfile::tempdir().unwrap();
        let database = directory.path().join("backup.db");
        let first = Ticket::open(&database, &request("/a")).unwrap();
        let again = Ticket::open(&database, &BackupRequest { chunk: 2, ..request("/a") }).unwrap();
        assert_eq!(first.entry.key, again.entry.key);
        let key = first.entry.key.clone();
        first.close().unwrap();
        again.close().unwrap();
        assert_ne!(Ticket::open(&database, &request("/a")).unwrap().entry.key, key);
    }

    #[test]
    fn lists_the_open_ones_from_the_oldest_on() {
        let directory = tempfile::tempdir().unwrap();
        let database = directory.path().join("new/backup.db");
        assert!(Ticket::all(&database).unwrap().is_empty());
        let open = |source| Ticket::open(&database, &request(source)).unwrap();
        let (_, second, _) = (open("/c"), open("/a"), open("/b"));
        second.close().unwrap();
        fs::write(directory.path().join("new/backup.db.ticket-x.part"), "cut off").unwrap();
        let open: Vec<_> =
            Ticket::all(&database).unwrap().into_iter().map(|ticket| ticket.entry.request).collect();
        assert_eq!(open, [request("/c"), request("/b")]);
    }
}
