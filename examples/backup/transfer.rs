//! The second step: copies the archive into the vault, a chunk at a time.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use prorch::prelude::*;
use serde::{Deserialize, Serialize};

use crate::archiver::Archive;
use crate::files::{part_of, publish, sha256_of};
use crate::pipeline::{BackupRequest, blocking};
use crate::probe::Probe;

/// Copies one chunk per call. How much was copied is committed after each, so a copy that is cut off goes on from
/// there, on another day if it must be.
#[step(resources(Arc<Probe>), retry(max_attempts = 3, backoff = "200ms..1s"))]
pub(crate) enum BackupTransfer {
    #[default]
    Idle,
    Copying {
        /// Bytes of the archive that are in the vault, synced.
        copied: u64,
    },
}

/// An archive in the vault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stored {
    /// The archive, where it is now.
    pub(crate) archive: Archive,
}

impl Step for BackupTransfer {
    type Input = Archive;
    type Output = Stored;

    async fn on_start(&mut self, archive: &Archive, cx: &StepContext) -> StepResult<Stored> {
        cx.resource::<Arc<Probe>>()?.called(cx, "begins the copy")?;
        let copy = Copy::of(archive, cx)?;
        blocking(move || Ok(copy.begin()?)).await?;
        *self = Self::Copying { copied: 0 };
        cx.progress(0, archive.bytes);
        pending()
    }

    async fn on_continue(&mut self, archive: &Archive, cx: &StepContext) -> StepResult<Stored> {
        let Self::Copying { copied } = self else { return fail("the copy was never begun") };
        cx.resource::<Arc<Probe>>()?.called(cx, format_args!("goes on at byte {copied}"))?;
        let (copy, from) = (Copy::of(archive, cx)?, *copied);
        if from < archive.bytes {
            *copied = blocking(move || copy.chunk(from)).await?;
            cx.progress(*copied, archive.bytes);
            return pending_for(Duration::ZERO);
        }
        finish(blocking(move || copy.seal()).await?)
    }
}

/// An archive on its way into the vault.
struct Copy {
    archive: Archive,
    to: PathBuf,
    part: PathBuf,
    chunk: u64,
}

impl Copy {
    fn of(archive: &Archive, cx: &StepContext) -> Result<Self, StepError> {
        let request: BackupRequest = cx.run_input()?;
        // Named by the run: a call that is made again writes the same file again, never a second one.
        let to = request.vault.join(format!("backup-{}.tar.zst", cx.run_id()));
        Ok(Self { archive: archive.clone(), part: part_of(&to), to, chunk: request.chunk })
    }

    fn begin(&self) -> anyhow::Result<()> {
        let vault = self.to.parent().context("the vault has no path")?;
        fs::create_dir_all(vault).with_context(|| format!("can't create the vault `{}`", vault.display()))?;
        File::create(&self.part).with_context(|| self.cannot_write())?;
        Ok(())
    }

    /// Copies one chunk from this offset on, and says where the next one begins.
    fn chunk(&self, from: u64) -> Result<u64, StepError> {
        let mut to = File::options().write(true).open(&self.part).with_context(|| self.cannot_write())?;
        let there = to.metadata().with_context(|| self.cannot_write())?.len();
        if there < from {
            return Err(self.gone(format!("holds {there} bytes of the {from} that were copied")));
        }
        to.seek(SeekFrom::Start(from)).with_context(|| self.cannot_write())?;
        let mut archive = self.read_from(from)?.take(self.chunk);
        let copied = io::copy(&mut archive, &mut to)
            // On a full disk the half chunk would take the room in which the database notes the error.
            .inspect_err(|_| drop(to.set_len(from)))
            .with_context(|| self.cannot_write())?;
        if copied == 0 {
            return Err(StepError::fatal(format!(
                "`{}` is shorter than it was",
                self.archive.path.display()
            )));
        }
        // What is committed as copied must be there after a power loss.
        to.sync_data().with_context(|| self.cannot_write())?;
        Ok(from + copied)
    }

    fn read_from(&self, offset: u64) -> anyhow::Result<File> {
        let path = &self.archive.path;
        let open = || {
            let mut archive = File::open(path)?;
            archive.seek(SeekFrom::Start(offset))?;
            io::Result::Ok(archive)
        };
        open().with_context(|| format!("can't read `{}`", path.display()))
    }

    /// Checks what is in the vault against what the archiver wrote, and only then gives it its name.
    fn seal(self) -> Result<Stored, StepError> {
        // An earlier call that was cut off after the last line left it under that name.
        let path = if self.part.exists() { &self.part } else { &self.to };
        let sha256 = sha256_of(path)?;
        if sha256 != self.archive.sha256 {
            return Err(
                self.gone(format!("has the SHA-256 {sha256}, and the archive {}", self.archive.sha256))
            );
        }
        if path == &self.part {
            publish(&self.part, &self.to)?;
        }
        Ok(Stored { archive: Archive { path: self.to, ..self.archive } })
    }

    /// Somebody else was at the copy. To go on with it is no use: a retry of the run begins it anew, since this error
    /// is fatal to the step.
    fn gone(&self, what: String) -> StepError {
        StepError::fatal(format!("the copy in the vault is damaged: `{}` {what}", self.part.display()))
    }

    fn cannot_write(&self) -> String {
        format!("can't write the archive to the vault `{}`", self.to.parent().unwrap_or(&self.to).display())
    }
}
