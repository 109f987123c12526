//! Who keeps a database from being written to.

use std::path::Path;

use crate::open::beside;

/// The byte of the shared index that whoever writes locks, as SQLite's file format has it.
const WRITE_LOCK: u64 = 120;

/// The one who holds the database, in words for a log or an error.
pub(crate) fn holder(database: &Path) -> String {
    match process(database) {
        Some(process) => format!("process {process} holds the file"),
        None => "another program holds the file".into(),
    }
}

/// The process that writes, or that has the whole file to itself; none where the system does not say.
///
/// The system is asked, and not the one who writes: so nothing has to be noted with every write, and a program that
/// knows nothing of prorch is named too. The files themselves must not be opened for that: closing one again would drop
/// all of SQLite's locks of this process.
fn process(database: &Path) -> Option<u32> {
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let index = beside(database, "-shm");
    let writes = |path: &Path, byte| inode(path).and_then(|inode| owner(&locks, inode, byte));
    writes(&index, Some(WRITE_LOCK)).or_else(|| writes(database, None))
}

#[cfg(unix)]
fn inode(path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    path.metadata().ok().map(|file| file.ino())
}

#[cfg(not(unix))]
fn inode(_: &Path) -> Option<u64> {
    None
}

/// The process with a lock for writing on a file: over this byte of it, or any.
fn owner(locks: &str, inode: u64, byte: Option<u64>) -> Option<u32> {
    locks.lines().find_map(|line| {
        // number, kind, mode, access, process, device and inode, first byte, last byte; "->" marks one that waits
        let [_, "POSIX", _, "WRITE", process, place, first, last] = words(line)? else { return None };
        let covers = |byte: u64| {
            first.parse().is_ok_and(|first: u64| first <= byte)
                && last.parse().map_or(last == "EOF", |last: u64| byte <= last)
        };
        let found = place.rsplit(':').next()?.parse() == Ok(inode) && byte.is_none_or(covers);
        if found { process.parse().ok() } else { None }
    })
}

fn words(line: &str) -> Option<[&str; 8]> {
    let mut words = line.split_whitespace();
    let found = std::array::from_fn(|_| words.next().unwrap_or_default());
    words.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_of_a_lock_is_found_by_file_and_byte() {
        let locks = "1: FLOCK  ADVISORY  WRITE 10 fe:00:77 0 EOF\n2: POSIX  ADVISORY  READ 11 fe:00:77 120 120\n\
                     3: POSIX  ADVISORY  WRITE 12 fe:00:77 121 121\n3: -> POSIX  ADVISORY  WRITE 13 fe:00:77 120 120\n\
                     4: POSIX  ADVISORY  WRITE 14 fe:00:78 120 120\n5: POSIX  ADVISORY  WRITE 15 fe:00:77 120 121\n\
                     6: POSIX  ADVISORY  WRITE 16 fe:00:79 1073741825 EOF\n";
        assert_eq!(owner(locks, 77, Some(120)), Some(15));
        assert_eq!(owner(locks, 79, Some(120)), None);
        assert_eq!(owner(locks, 79, None), Some(16));
        assert_eq!(owner(locks, 80, None), None);
    }
}
