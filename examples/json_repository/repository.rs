//! A repository on one JSON file.
//!
//! What the calls of a [`Repository`] mean is code in the library: [`Runs`] is a map of runs that does it all. What is
//! left to a back end is to keep the map where it survives, and to let one change at a time have it. Here that is a
//! file that is read, changed and written anew by every call, under a lock that all processes share.
//!
//! Every write costs as much as all runs together: for some hundred runs that is fine, and one can read the file. For
//! more take `SqliteRepository`.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use prorch::RunId;
use prorch::repository::{
    Answer, Filter, NewRun, Page, Part, Repository, Runs, Saved, StoreError, StoreErrorKind, StoredRun,
    Update,
};

/// Runs in a JSON file, for any number of processes on one machine. Clones share the file.
#[derive(Clone, Debug)]
pub(crate) struct JsonRepository {
    files: Arc<Files>,
}

/// The file with the runs, and two beside it.
#[derive(Debug)]
struct Files {
    runs: PathBuf,
    /// Written first, then renamed to `runs`: who reads sees the old runs or the new ones, never half of them.
    fresh: PathBuf,
    /// Locked by who changes the runs. It is not `runs` itself, since every change replaces that file.
    lock: PathBuf,
}

impl JsonRepository {
    /// The repository on this file. A file that is not there is made with the first run; its directory must be there.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Corrupt`] when the file holds something else than runs, [`StoreErrorKind::Transient`] when it
    /// can't be read.
    pub(crate) fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let runs = path.into();
        let beside = |what: &str| {
            let mut name = runs.file_name().unwrap_or_default().to_owned();
            name.push(what);
            runs.with_file_name(name)
        };
        let files = Files { fresh: beside(".new"), lock: beside(".lock"), runs };
        files.read()?;
        Ok(Self { files: Arc::new(files) })
    }

    /// Does work with the files where it may block: a thread that waits for the lock must not stop the engine.
    async fn with_files<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Files) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let files = self.files.clone();
        let done = tokio::task::spawn_blocking(move || work(&files)).await;
        done.unwrap_or_else(|error| {
            let what = "the work on the file was cut off";
            Err(StoreError::new(StoreErrorKind::Ambiguous, what).with_source(error))
        })
    }
}

impl Files {
    fn read(&self) -> Result<Runs, StoreError> {
        let json = match fs::read(&self.runs) {
            Ok(json) => json,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Runs::default()),
            Err(error) => return Err(failed("read", &self.runs, error)),
        };
        serde_json::from_slice(&json).map_err(|error| {
            let what = format!("{} does not hold runs as JSON", self.runs.display());
            StoreError::new(StoreErrorKind::Corrupt, what).with_source(error)
        })
    }

    /// Changes the runs, alone among all threads and processes, and writes them if an answer says that they changed.
    fn change<A>(
        &self,
        change: impl FnOnce(&mut Runs) -> Result<Vec<A>, StoreError>,
        is_change: impl Fn(&A) -> bool,
    ) -> Result<Vec<A>, StoreError> {
        let lock = File::create(&self.lock).map_err(|error| failed("open", &self.lock, error))?;
        // The lock ends with the file handle: also when this process is killed here.
        lock.lock().map_err(|error| failed("lock", &self.lock, error))?;
        let mut runs = self.read()?;
        let answers = change(&mut runs)?;
        if answers.iter().any(is_change) {
            self.write(&runs)?;
        }
        Ok(answers)
    }

    fn write(&self, runs: &Runs) -> Result<(), StoreError> {
        let json = serde_json::to_vec_pretty(runs).map_err(|error| {
            StoreError::new(StoreErrorKind::Refused, "the runs can't be written as JSON").with_source(error)
        })?;
        // Until the rename nothing has happened; after it the change is there, and only its survival is in doubt.
        replace(&self.fresh, &json).map_err(|error| failed("write", &self.fresh, error))?;
        fs::rename(&self.fresh, &self.runs).map_err(|error| failed("replace", &self.runs, error))?;
        sync_directory(&self.runs).map_err(|error| {
            let what = format!("it is not known whether {} survives a power loss", self.runs.display());
            StoreError::new(StoreErrorKind::Ambiguous, what).with_source(error)
        })
    }
}

/// Writes a file so that it survives a power loss.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes the names in the file's directory survive a power loss.
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    match File::open(directory.unwrap_or(Path::new("."))) {
        Ok(directory) => directory.sync_all(),
        // Not every system lets a directory be opened.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(error),
    }
}

fn failed(verb: &str, path: &Path, error: io::Error) -> StoreError {
    StoreError::new(StoreErrorKind::Transient, format!("could not {verb} {}: {error}", path.display()))
        .with_source(error)
}

/// The four methods that a back end must write. The others (`claim`, `turn`, …) are written in terms of these.
impl Repository for JsonRepository {
    async fn get(&self, id: RunId, part: Part) -> Result<Option<StoredRun>, StoreError> {
        self.with_files(move |files| Ok(files.read()?.get(id, part))).await
    }

    async fn save(&self, new: Vec<NewRun>) -> Result<Vec<Saved>, StoreError> {
        let is_new = |saved: &Saved| *saved == Saved::New;
        self.with_files(move |files| files.change(|runs| runs.save(new), is_new)).await
    }

    async fn update(&self, updates: Arc<[Update]>) -> Result<Vec<Answer>, StoreError> {
        self.with_files(move |files| files.change(|runs| Ok(runs.update(&updates)), Answer::has_written))
            .await
    }

    async fn search(&self, filter: &Filter) -> Result<Page, StoreError> {
        let filter = filter.clone();
        self.with_files(move |files| Ok(files.read()?.search(&filter))).await
    }
}
