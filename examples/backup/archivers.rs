//! The archivers as their run sees them: started, asked, swept up.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use prorch::repository::RunId;

use crate::archiver::{Archive, Packed, completed, packed};
use crate::options::ARCHIVE;
use crate::pipeline::BackupRequest;

/// Where the archivers of all runs work, and those that this process started.
pub(crate) struct Archivers {
    database: PathBuf,
    staging: PathBuf,
    started: Mutex<HashMap<RunId, Child>>,
}

/// What an archiver is found to be doing.
pub(crate) enum Found {
    /// It is done, and left this.
    Done(Archive),
    /// It is at work.
    Working(Option<Packed>),
    /// It ended without an archive, for this reason.
    Failed(String),
    /// This process has started none for the run. Another process, which is gone, may have; and that one may still be
    /// at work, or done in a moment.
    Unknown,
}

impl Archivers {
    /// The archivers that work beside this database.
    pub(crate) fn beside(database: &Path) -> Self {
        let mut staging = database.as_os_str().to_owned();
        staging.push(".staging");
        Self { database: database.into(), staging: staging.into(), started: Mutex::default() }
    }

    /// Starts an archiver for the run. It is safe to start a second one.
    pub(crate) fn start(&self, run: RunId, request: &BackupRequest) -> anyhow::Result<()> {
        let directory = self.directory(run);
        let cannot_work = || format!("can't prepare `{}` for the archiver", directory.display());
        fs::create_dir_all(&directory).with_context(cannot_work)?;
        let log = File::create(directory.join("log")).with_context(cannot_work)?;
        let program = std::env::current_exe().context("can't find this program's own file")?;
        let archiver = Command::new(program)
            .arg(ARCHIVE)
            .args([&request.source, &request.vault, &self.database, &directory])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("can't start the archiver")?;
        self.started().insert(run, archiver);
        Ok(())
    }

    /// Looks how the run's archiver is doing.
    pub(crate) fn look(&self, run: RunId) -> anyhow::Result<Found> {
        let directory = self.directory(run);
        let mut started = self.started();
        // The exit is looked at before the file: an archiver that ended well wrote it before.
        let exit =
            started.get_mut(&run).map(Child::try_wait).transpose().context("can't ask the archiver")?;
        if let Some(archive) = completed(&directory)? {
            // One that waited for another's lock is about to find what was just found here.
            started.remove(&run).map(|mut archiver| archiver.wait()).transpose()?;
            return Ok(Found::Done(archive));
        }
        match exit {
            None => Ok(Found::Unknown),
            Some(None) => Ok(Found::Working(packed(&directory))),
            Some(Some(status)) => {
                started.remove(&run);
                Ok(Found::Failed(reason(&directory, status)))
            }
        }
    }

    /// Removes what the run's archiver left. Nothing may need it any more.
    pub(crate) fn sweep(&self, run: RunId) -> anyhow::Result<()> {
        let directory = self.directory(run);
        match fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("can't remove `{}`", directory.display()))
            }
            _ => Ok(()),
        }
    }

    fn directory(&self, run: RunId) -> PathBuf {
        self.staging.join(run.to_string())
    }

    fn started(&self) -> MutexGuard<'_, HashMap<RunId, Child>> {
        self.started.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why an archiver ended without an archive: the last line that it wrote, or how it ended.
fn reason(directory: &Path, status: ExitStatus) -> String {
    let log = fs::read_to_string(directory.join("log")).unwrap_or_default();
    match log.lines().last().and_then(|line| line.strip_prefix("error: ")) {
        Some(error) => error.to_owned(),
        None => format!("the archiver ended early ({status})"),
    }
}
