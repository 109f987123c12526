//! The first step: starts an archiver and waits for it.

use std::sync::Arc;

use prorch::prelude::*;

use crate::archiver::Archive;
use crate::archivers::{Archivers, Found};
use crate::pipeline::{BackupRequest, blocking};
use crate::probe::Probe;

/// Starts a process that packs the source, and asks every tenth of a second how it is doing.
///
/// Where the archiver works need not be kept: its directory is named by the run, so that whoever asks, in whatever
/// process, finds it.
#[step(resources(Arc<Probe>, Arc<Archivers>), retry(max_attempts = 3, backoff = "200ms..1s"), poll = "100ms")]
pub(crate) struct BackupGeneration {
    /// How many archivers failed. The retry policy can't count them: it counts errors in a row, and between the errors
    /// of two archivers there are calls that went well.
    failed: u32,
}

/// So many archivers may fail until the step does.
const TRIES: u32 = 3;

impl Step for BackupGeneration {
    type Input = BackupRequest;
    type Output = Archive;

    async fn on_start(&mut self, request: &BackupRequest, cx: &StepContext) -> StepResult<Archive> {
        cx.resource::<Arc<Probe>>()?.called(cx, "starts an archiver")?;
        start(request, cx).await?;
        pending()
    }

    async fn on_continue(&mut self, request: &BackupRequest, cx: &StepContext) -> StepResult<Archive> {
        cx.resource::<Arc<Probe>>()?.called(cx, "looks at the archiver")?;
        let archivers: Arc<Archivers> = Arc::clone(cx.resource()?);
        let run = cx.run_id();
        match blocking(move || Ok(archivers.look(run)?)).await? {
            Found::Done(archive) => return finish(archive),
            Found::Working(Some(packed)) => cx.progress(packed.done, packed.total),
            Found::Working(None) => {}
            Found::Failed(reason) => {
                self.failed += 1;
                if self.failed == TRIES {
                    return fail(reason);
                }
                start(request, cx).await?;
            }
            // This process took over from one that is gone. The archiver that it starts waits for the other's, if that
            // lives, and takes its archive.
            Found::Unknown => start(request, cx).await?,
        }
        pending()
    }
}

async fn start(request: &BackupRequest, cx: &StepContext) -> Result<(), StepError> {
    let archivers: Arc<Archivers> = Arc::clone(cx.resource()?);
    let (run, request) = (cx.run_id(), request.clone());
    blocking(move || Ok(archivers.start(run, &request)?)).await
}
