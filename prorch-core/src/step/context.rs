use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::{Resources, Step, StepError};
use crate::model::{
    Kept, Mail, Message, Part, Plan, Position, RunId, Status, StepProgress, StepRecord, Text,
};
use crate::payload::Payload;
use crate::repository::{AnyRepository, HandedError, StoreError, handed_on_by_run};

/// What a step's function is told about its call, and how it speaks to the engine beside its answer.
///
/// What a call says here (progress, metadata, signals taken) is committed together with its answer, and thrown away when
/// it returns an error. Only progress is also stored along the way, with the lease's renewals.
///
/// Cheap to clone; a clone that outlives its call does nothing.
#[derive(Clone)]
pub struct StepContext {
    call: Arc<Call>,
}

struct Call {
    facts: CallFacts,
    kept: Mutex<Kept>,
}

/// What the engine knows about a call.
pub(crate) struct CallFacts {
    pub(crate) run: RunId,
    pub(crate) step: Text,
    /// Which item of its list the call is for, in an `each`.
    pub(crate) item: Option<u32>,
    pub(crate) attempt: u32,
    pub(crate) purpose: Purpose,
    pub(crate) run_input: Text,
    pub(crate) resources: Arc<Resources>,
    pub(crate) signals: Vec<Message>,
    pub(crate) history: Option<History>,
    pub(crate) cancelled: watch::Receiver<bool>,
}

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The step itself.
    Step,
    /// To undo the step.
    Undo,
}

/// Where the outputs of earlier steps are read.
#[derive(Clone)]
pub(crate) struct History {
    pub(crate) repository: AnyRepository,
    pub(crate) plan: Arc<Plan>,
}

/// How long to wait before a store that could not be read is asked again.
const READ_AGAIN_AFTER: Duration = Duration::from_millis(50);

impl History {
    /// The record at a position. A store that can't be read for the moment is asked again for as long as the call may
    /// take: that must not count as an error of the step.
    async fn record(&self, run: RunId, from: Position) -> Result<Option<StepRecord>, StoreError> {
        loop {
            match self.repository.get(run, Part::Records { from, limit: 1 }).await {
                Ok(stored) => return Ok(stored.and_then(|mut stored| stored.records.remove(&from))),
                Err(error) if error.is_transient() || error.is_ambiguous() => {
                    tracing::debug!(%error, "an earlier step's output can't be read; trying again");
                    tokio::time::sleep(READ_AGAIN_AFTER).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl StepContext {
    pub(crate) fn new(facts: CallFacts) -> Self {
        Self { call: Arc::new(Call { facts, kept: Mutex::default() }) }
    }

    /// The run that the call is for.
    #[must_use]
    pub fn run_id(&self) -> RunId {
        self.call.facts.run
    }

    /// The step's name, as it is stored.
    #[must_use]
    pub fn step_name(&self) -> &str {
        &self.call.facts.step
    }

    /// Which attempt this is, from 1: it grows by an error, a timeout, a panic or a call cut off by a crash. A committed
    /// `pending` starts it anew.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.call.facts.attempt
    }

    /// A name for what this step does in this run: the same for all attempts, and for no other step, item of a list or
    /// run. Hand it to the outside (as a job's name, an idempotency header) so that a repeated call finds what the first
    /// one began.
    #[must_use]
    pub fn idempotency_key(&self) -> impl fmt::Display + Send + Sync + use<> {
        match self.call.facts.purpose {
            Purpose::Step => self.key(),
            Purpose::Undo => format!("{}/undo", self.key()),
        }
    }

    /// The idempotency key of the step's own calls: the same as [`idempotency_key`](Self::idempotency_key), but where the
    /// step is [undone](Step::compensate). There it finds what the step has done.
    #[must_use]
    pub fn step_key(&self) -> impl fmt::Display + Send + Sync + use<> {
        self.key()
    }

    fn key(&self) -> String {
        let CallFacts { run, step, item, .. } = &self.call.facts;
        match item {
            Some(item) => format!("{run}:{step}[{item}]"),
            None => format!("{run}:{step}"),
        }
    }

    /// The value of this type that the program gave to the orchestrator (`.resource(value)`).
    ///
    /// # Errors
    ///
    /// A fatal one that says what to write, when there is none.
    pub fn resource<T: 'static>(&self) -> Result<&T, StepError> {
        self.call.facts.resources.asked(self.step_name())
    }

    /// What the run was started with.
    ///
    /// # Errors
    ///
    /// A fatal one when the input is no such value.
    pub fn run_input<T: Payload>(&self) -> Result<T, StepError> {
        T::decode(&self.call.facts.run_input).map_err(StepError::fatal)
    }

    /// What an earlier step of this run handed on; of two steps of one type the first.
    ///
    /// # Errors
    ///
    /// A fatal one when there is no such earlier step; one to retry when the store can't be read for a reason that does
    /// not pass. While it can't be read for one that passes, this waits.
    pub async fn output<S: Step>(&self) -> Result<S::Output, StepError> {
        let none = || {
            StepError::fatal(format!(
                "no step `{}` has finished before `{}` in this run",
                S::NAME,
                self.step_name()
            ))
        };
        let history = self.call.facts.history.as_ref().ok_or_else(none)?;
        let from = history.plan.position(S::NAME).ok_or_else(none)?;
        let record = history.record(self.run_id(), from).await?;
        let output =
            record.filter(|record| record.status == Status::Finished).and_then(|record| record.output);
        S::Output::decode(&output.ok_or_else(none)?).map_err(StepError::fatal)
    }

    /// What a run ended with that this step was.
    pub(crate) async fn output_of_run(&self, run: RunId) -> Result<Text, StepError> {
        let gone = || StepError::fatal(format!("run {run} is not stored any more"));
        let repository = &self.call.facts.history.as_ref().ok_or_else(gone)?.repository;
        let stored = repository.get(run, Part::Row).await?.ok_or_else(gone)?;
        handed_on_by_run(repository, &stored).await.map_err(|error| match error {
            HandedError::Store(error) => error.into(),
            HandedError::TooLong => StepError::fatal(format!("what run {run} ended with is too long")),
            HandedError::Missing(why) => StepError::fatal(why.to_string()),
        })
    }

    /// Says how far the step has come, for whoever looks at the run.
    pub fn progress(&self, done: u64, total: u64) {
        self.kept().progress = Some(StepProgress { done, total });
    }

    /// Pins a value to the run under a name; runs can be found by it.
    pub fn set_metadata(&self, name: impl Into<String>, value: impl Into<serde_json::Value>) {
        self.kept().run_metadata.insert(name.into(), value.into());
    }

    /// Pins a value to this step of the run under a name.
    pub fn set_step_metadata(&self, name: impl Into<String>, value: impl Into<serde_json::Value>) {
        self.kept().step_metadata.insert(name.into(), value.into());
    }

    /// Takes the oldest signal with this name that came for the run; none when there is none. It is taken for good when
    /// this call's answer is committed.
    ///
    /// # Errors
    ///
    /// A fatal one when the signal holds no such value.
    pub fn signal<T: Payload>(&self, name: &str) -> Result<Option<T>, StepError> {
        let mut kept = self.kept();
        for message in &self.call.facts.signals {
            match &message.mail {
                Mail::Signal { name: other, payload }
                    if other == name && !kept.taken.contains(&message.id) =>
                {
                    let value = T::decode(payload).map_err(StepError::fatal)?;
                    kept.taken.push(message.id);
                    return Ok(Some(value));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// Takes all signals with this name, as they came: their JSON.
    #[cfg(feature = "cron")]
    pub(crate) fn take_signals(&self, name: &str) -> Vec<Text> {
        let mut kept = self.kept();
        let mut payloads = Vec::new();
        for message in &self.call.facts.signals {
            if let Mail::Signal { name: other, payload } = &message.mail
                && other == name
                && !kept.taken.contains(&message.id)
            {
                kept.taken.push(message.id);
                payloads.push(payload.clone());
            }
        }
        payloads
    }

    /// The repository that the call's run is in; none in a test of one step.
    #[cfg(feature = "cron")]
    pub(crate) fn repository(&self) -> Option<&AnyRepository> {
        self.call.facts.history.as_ref().map(|history| &history.repository)
    }

    /// Whether the run was cancelled while this call was under way. The call may tidy up; its answer counts.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        *self.call.facts.cancelled.borrow()
    }

    /// Returns when the run is cancelled; else never.
    pub async fn cancelled(&self) {
        let mut cancelled = self.call.facts.cancelled.clone();
        if cancelled.wait_for(|cancelled| *cancelled).await.is_err() {
            std::future::pending().await
        }
    }

    pub(super) fn resources(&self) -> &Arc<Resources> {
        &self.call.facts.resources
    }

    pub(crate) fn take_kept(&self) -> Kept {
        std::mem::take(&mut self.kept())
    }

    pub(crate) fn reported(&self) -> Option<StepProgress> {
        self.kept().progress
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing that can panic half-way is done under the lock.
        self.call.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for StepContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepContext")
            .field("run_id", &self.run_id())
            .field("step", &self.step_name())
            .field("attempt", &self.attempt())
            .finish_non_exhaustive()
    }
}
