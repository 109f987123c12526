//! What the program was told and did, as lines of a file on a disk that never fails; and whether that fits to what is
//! stored.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use prorch_core::repository::{Filter, Repository, Run, Status};
use prorch_sqlite::SqliteRepository;

/// How far a run is: its step, and how often that step had answered *pending*.
pub(crate) type Place = (u32, u32);

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// `start` returned, and the run of this key is durable.
    Started(String),
    /// It is not known whether the run was started.
    Unknown(String, String),
    /// It is known that the run was not started.
    Refused(String, String),
    /// A step of the run was called, by the program of this name. That a call is further on says that the calls before it
    /// were acknowledged.
    Called(String, Place, String),
    /// Who waited for the run's end was told of it.
    Ended(String),
    /// The worker ended with this error.
    Stopped(String),
    /// The file could not be opened.
    Closed(String),
}

/// The file. Each line is one write at its end, which the system keeps whole and in order.
#[derive(Clone, Debug)]
pub(crate) struct Ledger(PathBuf);

impl Ledger {
    pub(crate) fn in_directory(directory: &Path) -> Self {
        Self(directory.join("ledger"))
    }

    pub(crate) fn note(&self, entry: &Entry) {
        let mut file = OpenOptions::new().append(true).create(true).open(&self.0).unwrap();
        file.write_all(line(entry).as_bytes()).unwrap();
    }

    /// All lines so far. One that was cut off by the end of its process does not count.
    pub(crate) fn read(&self) -> Vec<Entry> {
        let text = fs::read_to_string(&self.0).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(entry).collect()
    }

    pub(crate) fn count(&self, counts: impl Fn(&Entry) -> bool) -> usize {
        self.read().iter().filter(|entry| counts(entry)).count()
    }

    /// What was acknowledged and does not hold, by this copy of the database; what is not whole in it.
    pub(crate) async fn findings(&self, database: &Path) -> Vec<String> {
        let (entries, mut found) = (self.read(), self.went_back());
        let stored = if database.exists() { stored(database).await } else { BTreeMap::new() };
        for entry in entries {
            match entry {
                Entry::Started(key) if !stored.contains_key(&key) => found.push(format!("{key} is lost")),
                Entry::Ended(key) if stored.get(&key).map(Run::status) != Some(Status::Finished) => {
                    found.push(format!("that {key} ended is lost"));
                }
                _ => {}
            }
        }
        found.extend(broken_pages(database));
        found
    }

    /// Calls of a run that is further on.
    pub(crate) fn went_back(&self) -> Vec<String> {
        let (mut furthest, mut found) = (BTreeMap::new(), Vec::new());
        for entry in self.read() {
            let Entry::Called(key, place, _) = entry else { continue };
            let before = *furthest.get(&key).unwrap_or(&place);
            if place < before {
                found.push(format!("{key} was called at {place:?} after {before:?}"));
            }
            furthest.insert(key, place.max(before));
        }
        found
    }
}

/// All runs of a database, by their keys.
pub(crate) async fn stored(database: &Path) -> BTreeMap<String, Run> {
    let repository = SqliteRepository::open(database).unwrap();
    let (mut runs, mut filter) = (BTreeMap::new(), Filter::all());
    loop {
        let page = repository.search(&filter).await.unwrap();
        runs.extend(page.runs.into_iter().map(|run| (run.key.as_deref().unwrap().to_owned(), run)));
        if page.next.is_none() {
            return runs;
        }
        filter = filter.after(page.next);
    }
}

/// What SQLite says about pages that are not what they should be.
fn broken_pages(database: &Path) -> Vec<String> {
    if !database.exists() {
        return Vec::new();
    }
    let connection = rusqlite::Connection::open(database).unwrap();
    let said: String = connection.pragma_query_value(None, "integrity_check", |row| row.get(0)).unwrap();
    if said == "ok" { Vec::new() } else { vec![said] }
}

fn line(entry: &Entry) -> String {
    match entry {
        Entry::Started(key) => format!("started {key}\n"),
        Entry::Unknown(key, why) => format!("unknown {key} {why}\n"),
        Entry::Refused(key, why) => format!("refused {key} {why}\n"),
        Entry::Called(key, (step, asked), by) => format!("called {key} {step} {asked} {by}\n"),
        Entry::Ended(key) => format!("ended {key}\n"),
        Entry::Stopped(why) => format!("stopped {why}\n"),
        Entry::Closed(why) => format!("closed {why}\n"),
    }
}

fn entry(line: &str) -> Entry {
    let (what, rest) = line.split_once(' ').unwrap();
    let words: Vec<&str> = rest.split(' ').collect();
    let key = || words[0].to_owned();
    match what {
        "started" => Entry::Started(key()),
        "unknown" => Entry::Unknown(key(), words[1..].join(" ")),
        "refused" => Entry::Refused(key(), words[1..].join(" ")),
        "called" => {
            let place = (words[1].parse().unwrap(), words[2].parse().unwrap());
            Entry::Called(key(), place, words[3].to_owned())
        }
        "ended" => Entry::Ended(key()),
        "stopped" => Entry::Stopped(rest.to_owned()),
        "closed" => Entry::Closed(rest.to_owned()),
        _ => panic!("no entry: {line}"),
    }
}
