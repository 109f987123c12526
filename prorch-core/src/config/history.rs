use crate::model::{Append, HistoryEntry};
use crate::pipeline::Pipeline;

/// What is kept of the history of runs: errors of attempts, calls that were cut off, messages and who sent them, what an
/// operator did, and ends that may not be the last.
///
/// What a run's row and its records say anyhow is not written a second time, and read from there: when it was started, when
/// each step began and finished, and how the run ended. So a run that goes without an error writes nothing for its history.
///
/// ```
/// # use prorch_core::config::{History, OrchestratorConfig};
/// let short = OrchestratorConfig::default().history(History::new().most(20));
/// let none = OrchestratorConfig::default().history(History::off());
/// # let _ = (short, none);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use = "it is a setting: `OrchestratorConfig::history`"]
pub struct History {
    most: u32,
    without: Vec<&'static str>,
}

impl Default for History {
    fn default() -> Self {
        Self { most: 100, without: Vec::new() }
    }
}

impl History {
    /// At most a hundred entries of each run.
    pub fn new() -> Self {
        Self::default()
    }

    /// Nothing.
    pub const fn off() -> Self {
        Self { most: 0, without: Vec::new() }
    }

    /// At most so many entries of each run: the first ten and the last ones stay.
    pub const fn most(mut self, entries: u32) -> Self {
        self.most = entries;
        self
    }

    /// Nothing of the runs of this pipeline.
    pub fn without<P: Pipeline>(mut self) -> Self {
        self.without.push(P::NAME);
        self
    }

    /// Whether anything of such a run is kept.
    pub(crate) fn keeps(&self, pipeline: &str) -> bool {
        self.most > 0 && !self.without.contains(&pipeline)
    }

    /// What an update adds, if there is something.
    pub(crate) fn append(&self, entries: Vec<HistoryEntry>) -> Option<Box<Append>> {
        (!entries.is_empty()).then(|| Box::new(Append { entries, most: self.most }))
    }
}
