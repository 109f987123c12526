//! The settings of an orchestrator.

use std::time::Duration;

use crate::error::Error;
use crate::model::{RetryPolicy, Run, StepPolicy};

mod history;
mod retention;

pub use history::History;
pub use retention::Retention;

/// How an orchestrator works. Every setting has a default that suits most.
///
/// | setting | default | |
/// |---|---|---|
/// | [`retry`](Self::retry) | 5 attempts, 1 s to 1 min apart, with jitter | what follows an error of a step |
/// | [`poll`](Self::poll) | 1 s | how long after `pending()` a step is asked again |
/// | [`timeout`](Self::timeout) | 5 min | the longest that one call may take |
/// | [`lease`](Self::lease) | 30 s | when the runs of a worker that died go to another |
/// | [`grace`](Self::grace) | 30 s | how long calls under way may go on after a stop |
/// | [`concurrency`](Self::concurrency) | 256 | how many runs a worker works on side by side |
/// | [`crash_cap`](Self::crash_cap) | 5 | cut-off calls in a row until a run fails |
/// | [`retention`](Self::retention) | none | which runs workers remove when they have ended long ago |
/// | [`prune_every`](Self::prune_every) | 1 min | how often they do |
/// | [`history`](Self::history) | 100 entries of a run | what is kept of what happened to runs |
/// | [`max_payload`](Self::max_payload) | 1 MiB | the longest input, state or output, as JSON text |
///
/// What `#[step(…)]` says about a step goes before the first three.
#[derive(Clone, Debug, PartialEq)]
pub struct OrchestratorConfig {
    pub(crate) steps: StepPolicy,
    pub(crate) lease: Duration,
    pub(crate) grace: Duration,
    pub(crate) concurrency: usize,
    pub(crate) crash_cap: u32,
    pub(crate) max_payload: usize,
    pub(crate) retention: Vec<Retention>,
    pub(crate) prune_every: Duration,
    pub(crate) history: History,
}

impl Default for OrchestratorConfig {
    fn default() -> Self {
        Self {
            steps: StepPolicy::DEFAULT,
            lease: Duration::from_secs(30),
            grace: Duration::from_secs(30),
            concurrency: 256,
            crash_cap: 5,
            max_payload: 1 << 20,
            retention: Vec::new(),
            prune_every: Duration::from_mins(1),
            history: History::default(),
        }
    }
}

impl OrchestratorConfig {
    /// How often and how patiently a step that errs is called again, unless the step says otherwise.
    #[must_use]
    pub const fn retry(mut self, policy: RetryPolicy) -> Self {
        self.steps.retry = policy;
        self
    }

    /// How long after `pending()` a step is asked again, unless the step says otherwise.
    #[must_use]
    pub const fn poll(mut self, interval: Duration) -> Self {
        self.steps.poll = interval;
        self
    }

    /// The longest that one call may take, unless the step says otherwise.
    #[must_use]
    pub const fn timeout(mut self, longest: Duration) -> Self {
        self.steps.timeout = longest;
        self
    }

    /// For how long a worker takes a run. It is renewed at a third of that; when the worker dies, the run goes to
    /// another when it has passed. At least 100 ms.
    #[must_use]
    pub const fn lease(mut self, length: Duration) -> Self {
        self.lease = length;
        self
    }

    /// How long calls under way may go on when a worker is told to stop.
    #[must_use]
    pub const fn grace(mut self, longest: Duration) -> Self {
        self.grace = longest;
        self
    }

    /// How many runs a worker works on side by side. At least 1.
    #[must_use]
    pub const fn concurrency(mut self, runs: usize) -> Self {
        self.concurrency = runs;
        self
    }

    /// After how many cut-off calls in a row a run is failed. At least 3, since the first two may be somebody else's
    /// fault: only from the third on is the run executed apart from other such runs.
    #[must_use]
    pub const fn crash_cap(mut self, calls: u32) -> Self {
        self.crash_cap = calls;
        self
    }

    /// The longest input, state or output that is stored, in bytes of JSON text.
    #[must_use]
    pub const fn max_payload(mut self, bytes: usize) -> Self {
        self.max_payload = bytes;
        self
    }

    /// Lets workers remove runs that ended long ago, now and then; said again, those too. Passes
    /// ([`execute_pipelines`](crate::orchestrator::Orchestrator::execute_pipelines)) remove none.
    #[must_use]
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention.push(retention);
        self
    }

    /// What is kept of what happened to runs ([`Orchestrator::history`](crate::orchestrator::Orchestrator::history)).
    #[must_use]
    pub fn history(mut self, history: History) -> Self {
        self.history = history;
        self
    }

    /// How long a worker waits between two times that it removes runs; it spreads that by chance, down to half of it.
    #[must_use]
    pub const fn prune_every(mut self, pause: Duration) -> Self {
        self.prune_every = pause;
        self
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let wrong = if self.lease < Duration::from_millis(100) {
            format!("a lease of {:?} is too short to be renewed in time: give at least 100 ms", self.lease)
        } else if self.concurrency == 0 {
            "with a concurrency of 0 nothing would ever run: give at least 1".into()
        } else if self.crash_cap <= Run::SUSPECT_AFTER {
            format!(
                "a crash cap of {} could fail a run for what another did: give at least 3",
                self.crash_cap
            )
        } else if self.steps.retry.max_attempts == 0 {
            "retries with 0 attempts would call no step: give at least 1".into()
        } else if self.prune_every < Duration::from_millis(100) {
            format!(
                "to look every {:?} for runs to remove is too often: give at least 100 ms",
                self.prune_every
            )
        } else {
            return self.retention.iter().try_for_each(Retention::check);
        };
        Err(Error::Config(wrong))
    }
}
