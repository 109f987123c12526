//! What the demonstration needs beside the work: a crash at a chosen moment, and a journal of all calls.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use prorch::prelude::*;
use prorch::repository::RunId;

use crate::options::Options;

/// Told about every call of a step.
pub(crate) struct Probe {
    crash_after: Option<String>,
    journal: Option<File>,
    /// The step that this process called last, by run.
    last: Mutex<HashMap<RunId, String>>,
}

impl Probe {
    /// A probe as the command line wants it.
    pub(crate) fn new(options: &Options) -> anyhow::Result<Self> {
        let journal = options.journal.as_deref().map(open).transpose()?;
        Ok(Self { crash_after: options.crash_after.clone(), journal, last: Mutex::default() })
    }

    /// A step begins a call.
    ///
    /// A step is only ever called when the end of the one before it is committed. So the first call of another step is
    /// the moment right after that commit; and a process that begins with that other step has not seen it.
    pub(crate) fn called(&self, cx: &StepContext, does: impl fmt::Display) -> anyhow::Result<()> {
        let before = self.last().insert(cx.run_id(), cx.step_name().to_owned());
        if let Some(before) = before.filter(|before| before != cx.step_name()) {
            self.committed(&before);
        }
        let Some(mut journal) = self.journal.as_ref() else { return Ok(()) };
        // One write: lines of several processes don't mix.
        let line = format!("{} {} {does}\n", cx.run_id(), cx.step_name());
        journal.write_all(line.as_bytes()).context("can't write to the journal")
    }

    /// The run has ended: so its last step is committed, too.
    pub(crate) fn ended(&self, run: RunId) {
        let last = self.last().remove(&run);
        last.iter().for_each(|step| self.committed(step));
    }

    fn committed(&self, step: &str) {
        if self.crash_after.as_deref() == Some(step) {
            // No unwinding, no tidying up: as if somebody had pulled the plug.
            std::process::abort();
        }
    }

    fn last(&self) -> MutexGuard<'_, HashMap<RunId, String>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(path: &Path) -> anyhow::Result<File> {
    let open = File::options().create(true).append(true).open(path);
    open.with_context(|| format!("can't open the journal `{}`", path.display()))
}
