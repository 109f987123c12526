//! A counter in a file beside the database: raised by whoever writes something that may make a run due, and looked at by
//! the others. So neither what one does oneself nor a claim or a renewal of another process wakes anybody for nothing.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use prorch_core::repository::StoreError;

use crate::open::{beside, open_beside};

/// What the repositories of one file tell each other.
pub(crate) struct Told {
    path: PathBuf,
    counter: Mutex<Counter>,
}

struct Counter {
    file: File,
    /// What it was when it was last looked at, or what was last made of it.
    known: u64,
}

impl Told {
    /// Makes the file where it is not there.
    pub(crate) fn open(database: &Path) -> Result<Self, StoreError> {
        let mut counter = Counter { file: open_beside(database, "-told")?, known: 0 };
        // What can't be read now can't be read later either; then nobody is told, and everybody looks now and then.
        counter.known = counter.read().unwrap_or(0);
        Ok(Self { path: beside(database, "-told"), counter: Mutex::new(counter) })
    }

    /// Where it is, for those who watch it.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Tells the others, and says whether one of them has told something meanwhile.
    ///
    /// The caller holds SQLite's write lock and has not committed yet: a claim that this causes comes after the commit,
    /// and a process that dies in between has told too much, never too little.
    pub(crate) fn raise(&self) -> io::Result<bool> {
        self.with(|counter| {
            let found = counter.read()?;
            let heard = found != counter.known;
            counter.known = found.wrapping_add(1);
            counter.file.rewind()?;
            counter.file.write_all(&counter.known.to_le_bytes())?;
            Ok(heard)
        })
    }

    /// Whether one of the others has told something since the last look.
    pub(crate) fn look(&self) -> io::Result<bool> {
        self.with(|counter| {
            let found = counter.read()?;
            Ok(std::mem::replace(&mut counter.known, found) != found)
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut Counter) -> T) -> T {
        work(&mut self.counter.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Counter {
    /// A file that is empty still counts as 0.
    fn read(&mut self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.file.rewind()?;
        let _ = self.file.read(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_tell_is_heard_once_and_what_one_tells_oneself_never() {
        let directory = tempfile::tempdir().unwrap();
        let open = || Told::open(&directory.path().join("runs.db")).unwrap();
        let (one, two) = (open(), open());
        assert!(!one.raise().unwrap() && !one.look().unwrap());
        assert!(two.look().unwrap() && !two.look().unwrap());
        assert!(!two.raise().unwrap());
        assert!(one.raise().unwrap(), "what came before one's own is heard while telling");
        assert!(!one.look().unwrap());
        assert!(two.look().unwrap());
        assert!(!open().look().unwrap(), "who comes later looks at everything anyway");
    }
}
