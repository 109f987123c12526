//! The pipeline: its three steps, and what they are started with.

use std::path::PathBuf;

use prorch::prelude::*;
use serde::{Deserialize, Serialize};

use crate::generation::BackupGeneration;
use crate::notification::{ProcessCompletionNotification, Receipt};
use crate::transfer::BackupTransfer;

/// Packs a directory, brings the archive to safety, and says so. That the steps fit together is checked by the
/// compiler: the second takes the `Archive` that the first hands on, the third takes the second's `Stored`.
#[pipeline(
    input = BackupRequest,
    output = Receipt,
    steps = [BackupGeneration, BackupTransfer, ProcessCompletionNotification]
)]
pub(crate) struct BackupAutomation;

/// What a backup is started with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BackupRequest {
    /// The directory to back up.
    pub(crate) source: PathBuf,
    /// The directory where archives and receipts are kept.
    pub(crate) vault: PathBuf,
    /// Where the receipt is posted to.
    pub(crate) webhook: Option<String>,
    /// How many bytes are copied between two commits.
    pub(crate) chunk: u64,
}

/// Runs something that blocks its thread where that keeps nobody else from going on.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StepError> + Send + 'static,
) -> Result<T, StepError> {
    tokio::task::spawn_blocking(work).await?
}
