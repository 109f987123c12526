//! The third step: writes a receipt, and tells whoever wants to know.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use prorch::prelude::*;
use prorch::repository::Timestamp;
use serde::{Deserialize, Serialize};

use crate::archivers::Archivers;
use crate::files::{read_if_there, write_whole};
use crate::pipeline::{BackupRequest, blocking};
use crate::probe::Probe;
use crate::transfer::Stored;
use crate::webhook::Webhook;

/// Writes the receipt beside the archive, and posts it where the request says.
#[step(resources(Arc<Probe>, Arc<Archivers>), retry(max_attempts = 3, backoff = "200ms..1s"))]
pub(crate) struct ProcessCompletionNotification;

/// What is known about a backup that is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Receipt {
    /// The run that made it.
    pub(crate) run: String,
    /// What was backed up.
    pub(crate) source: PathBuf,
    /// Where the archive is.
    pub(crate) archive: PathBuf,
    /// Its length.
    pub(crate) bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub(crate) sha256: String,
    /// How many files, directories and links are in it.
    pub(crate) entries: u64,
    /// When it was in the vault, in UTC.
    pub(crate) stored_at: String,
}

impl Step for ProcessCompletionNotification {
    type Input = Stored;
    type Output = Receipt;

    async fn on_start(&mut self, stored: &Stored, cx: &StepContext) -> StepResult<Receipt> {
        cx.resource::<Arc<Probe>>()?.called(cx, "writes the receipt")?;
        let request: BackupRequest = cx.run_input()?;
        let webhook = request.webhook.as_deref().map(Webhook::at).transpose().map_err(StepError::fatal)?;
        let receipt = Receipt::of(&request, stored, cx);
        // Whoever gets the receipt twice, because the first answer was lost, knows it by this key.
        let key = cx.idempotency_key().to_string();
        let archivers: Arc<Archivers> = Arc::clone(cx.resource()?);
        let run = cx.run_id();
        let tell = move || {
            let receipt = receipt.keep()?;
            webhook.map(|webhook| webhook.post(&key, &serde_json::to_string(&receipt)?)).transpose()?;
            // That the archive is in the vault was committed before this step began.
            archivers.sweep(run)?;
            Ok(receipt)
        };
        finish(blocking(tell).await?)
    }
}

impl Receipt {
    fn of(request: &BackupRequest, stored: &Stored, cx: &StepContext) -> Self {
        let archive = stored.archive.clone();
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            run: cx.run_id().to_string(),
            source: request.source.clone(),
            archive: archive.path,
            bytes: archive.bytes,
            sha256: archive.sha256,
            entries: archive.entries,
            stored_at: (Timestamp::default() + since_1970).to_string(),
        }
    }

    /// Where the receipt of this archive is.
    pub(crate) fn path(&self) -> PathBuf {
        self.archive.with_file_name(format!("backup-{}.json", self.run))
    }

    /// Writes the receipt, unless an earlier call has: that one counts, since it may have been read.
    fn keep(self) -> anyhow::Result<Self> {
        let path = self.path();
        if let Some(json) = read_if_there(&path)? {
            return Ok(serde_json::from_slice(&json)?);
        }
        write_whole(&path, &serde_json::to_vec_pretty(&self)?)?;
        Ok(self)
    }
}
