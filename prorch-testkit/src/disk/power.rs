//! What is there after the power came back.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

use fastrand::Rng;

/// What becomes of that which was written and not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsynced {
    /// All of it is lost.
    Lost,
    /// Of each sector of 512 bytes, of each file's end, and of the changes of names together, chance says whether it is
    /// there: this seed. That is what really happens, since a system writes out of order what it was not asked to write.
    Torn(u64),
}

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// The files of a directory, by their names.
type Files = BTreeMap<String, Vec<u8>>;

/// The files that are there afterwards, by what is there now and by what is durable.
pub(super) fn survivors(files: &Path, state: &Path, unsynced: Unsynced) -> io::Result<Files> {
    let durable = read(&state.join("names"))?;
    let Unsynced::Torn(seed) = unsynced else { return Ok(durable) };
    let mut chance = Rng::with_seed(seed);
    // A system keeps the changes of names in order, and each whole.
    let names = if chance.bool() { files.to_path_buf() } else { state.join("names") };
    let written = by_key(files)?;
    let mut torn = Files::new();
    for entry in entries(&names)? {
        let path = names.join(&entry);
        let key =
            if names == files { key(&path.metadata()?)? } else { key_of_data(&state.join("data"), &path)? };
        let synced = optional(&state.join("data").join(&key))?;
        let now = written.get(&key).unwrap_or(&synced);
        torn.insert(entry, tear(&synced, now, &mut chance));
    }
    Ok(torn)
}

/// Of each sector and of the end either what is synced or what was written.
fn tear(synced: &[u8], written: &[u8], chance: &mut Rng) -> Vec<u8> {
    let mut torn = synced.to_vec();
    for from in (0..written.len()).step_by(SECTOR) {
        let to = written.len().min(from + SECTOR);
        let same = synced.get(from..to) == Some(&written[from..to]);
        if same || chance.bool() {
            continue;
        }
        // A sector that is there beyond others that are not: those are zeros.
        torn.resize(torn.len().max(to), 0);
        torn[from..to].copy_from_slice(&written[from..to]);
    }
    if written.len() < synced.len() && chance.bool() {
        torn.truncate(written.len());
    }
    torn
}

/// Takes what is in the directory for durable, as a system does that has just started.
pub(super) fn settle(files: &Path, state: &Path) -> io::Result<()> {
    if state.exists() {
        fs::remove_dir_all(state)?;
    }
    for folder in ["data", "names", "dirty"] {
        fs::create_dir_all(state.join(folder))?;
    }
    for name in entries(files)? {
        let data = state.join("data").join(key(&files.join(&name).metadata()?)?);
        fs::copy(files.join(&name), &data)?;
        fs::hard_link(data, state.join("names").join(name))?;
    }
    Ok(())
}

/// What the library calls a file, whatever its name.
fn key(file: &Metadata) -> io::Result<String> {
    let born = file.created()?.duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
    Ok(format!("{}-{}-{}", file.ino(), born.as_secs(), born.subsec_nanos()))
}

/// The key under which the data of a durable name are kept.
fn key_of_data(data: &Path, name: &Path) -> io::Result<String> {
    let inode = name.metadata()?.ino();
    for key in entries(data)? {
        if data.join(&key).metadata()?.ino() == inode {
            return Ok(key);
        }
    }
    Err(io::Error::other(format!("{} has no data", name.display())))
}

fn by_key(files: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let read = |name| {
        let path = files.join(name);
        Ok((key(&path.metadata()?)?, fs::read(path)?))
    };
    entries(files)?.into_iter().map(read).collect()
}

fn read(directory: &Path) -> io::Result<Files> {
    entries(directory)?.into_iter().map(|name| Ok((name.clone(), fs::read(directory.join(name))?))).collect()
}

/// The names in a directory, in an order that one seed finds again.
fn entries(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        names.push(
            entry?
                .file_name()
                .into_string()
                .map_err(|name| io::Error::other(format!("{name:?} is no text")))?,
        );
    }
    names.sort();
    Ok(names)
}

fn optional(path: &Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_torn_is_a_mixture_of_whole_sectors() {
        let (synced, written) = (vec![1; 100 * SECTOR], vec![2; 200 * SECTOR]);
        let torn = tear(&synced, &written, &mut Rng::with_seed(1));
        let sectors: Vec<u8> = torn.chunks(SECTOR).map(|sector| sector[0]).collect();
        assert!(torn.chunks(SECTOR).all(|sector| sector.iter().all(|byte| *byte == sector[0])));
        for (value, among) in
            [(1, &sectors[..100]), (2, &sectors[..100]), (0, &sectors[100..]), (2, &sectors[100..])]
        {
            let count = among.iter().filter(|sector| **sector == value).count();
            assert!((20..80).contains(&count), "{count} sectors of {value}");
        }
        assert_eq!(tear(&synced, &written, &mut Rng::with_seed(1)), torn, "one seed tears in one way");
    }

    #[test]
    fn what_was_synced_is_not_torn() {
        let whole = vec![7; 10 * SECTOR + 5];
        assert_eq!(tear(&whole, &whole, &mut Rng::with_seed(3)), whole);
    }

    #[test]
    fn an_end_that_was_cut_off_and_not_synced_is_there_or_not() {
        let lengths = (0..20).map(|seed| tear(&[1; 900], &[1; 100], &mut Rng::with_seed(seed)).len());
        let lengths: std::collections::BTreeSet<usize> = lengths.collect();
        assert_eq!(lengths, [100, 900].into());
    }
}
