use super::LeftRun;
use crate::model::Status;

/// What a pass did.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct PassReport {
    /// Runs that were due and were claimed.
    pub claimed: u64,
    /// Calls of steps that were made.
    pub calls: u64,
    /// Runs that finished.
    pub finished: u64,
    /// Runs that failed.
    pub failed: u64,
    /// Runs that were cancelled.
    pub cancelled: u64,
    /// Runs that were given back because they wait for something: a time, or a signal.
    pub waiting: u64,
    /// Writes that were refused because the run had gone to another worker.
    pub stale: u64,
    /// Runs that are due, and that nobody here can go on with. At most a hundred of them.
    pub left: Vec<LeftRun>,
}

impl PassReport {
    /// The same, with the runs that are left.
    pub(super) fn with_left(self, left: Vec<LeftRun>) -> Self {
        Self { left, ..self }
    }

    /// Counts a run that was given back in this status.
    pub(super) fn count(&mut self, status: Status) {
        match status {
            Status::Finished => self.finished += 1,
            Status::Failed => self.failed += 1,
            Status::Cancelled => self.cancelled += 1,
            Status::Created | Status::Pending => self.waiting += 1,
        }
    }
}
