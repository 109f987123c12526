use std::future::Future;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{BatchContext, Progress, ResourceType, StepContext, StepError, StepResult, Waiting};
use crate::model::{Rate, RetryPolicy, StepPolicy};
use crate::payload::Payload;

/// The most records of one call where nothing is said.
const DEFAULT_BATCH: u32 = 1_000;
/// The longest that a record waits for others where nothing is said.
const LONGEST_GATHER: Duration = Duration::from_secs(1);

/// One step of a pipeline. Its fields are the state that is kept between calls.
///
/// A step is started once, by [`on_start`](Self::on_start), and then asked again, by
/// [`on_continue`](Self::on_continue), until it is finished. What it answers is committed before anything else happens
/// with the run; a step whose end was committed is never called again.
///
/// A call that a crash cut off is made again, with the state last committed and the same
/// [`idempotency_key`](StepContext::idempotency_key): hand the key to the outside, so that the second call finds what
/// the first one did. Where the outside knows no such key, `at_most_once` says that the first call is made at most once: see
/// [`on_uncertain`](Self::on_uncertain).
///
/// Both functions may be plain `async fn`s. One of them must be written.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a step yet",
    label = "`Step` is not implemented for this",
    note = "write `impl Step for {Self} {{ type Input = …; type Output = …; async fn on_start(&mut self, …) … }}`, and `#[step]` above the type",
    note = "a pipeline among the steps of another one is written `run({Self})`"
)]
pub trait Step: StepDefinition {
    /// What the step gets: the output of the step before it (or what that turns into by `Into`), or the run's input.
    type Input: Send + Sync + 'static;
    /// What the step hands on.
    type Output: Payload;

    /// Begins the step.
    ///
    /// # Errors
    ///
    /// Whatever went wrong: see [`StepError`].
    fn on_start(
        &mut self,
        input: &Self::Input,
        cx: &StepContext,
    ) -> impl Future<Output = StepResult<Self::Output>> + Send {
        let _ = (input, cx);
        std::future::ready(Ok(Progress::Unwritten))
    }

    /// Says what became of the step's first call: asked for a step that is called `at_most_once`, when that call was begun
    /// and its answer is not known. The process ended or lost its lease, the call took too long, panicked, or returned an
    /// error that may be retried; or it was never made, since the process ended just before. prorch never makes it a second
    /// time by itself.
    ///
    /// It looks outside, by the [`idempotency_key`](StepContext::idempotency_key) that the call had, and answers `finish` when
    /// all is done, `pending` when it is under way (`on_continue` is called then, after the step's poll interval),
    /// [`start_again`](super::start_again) when nothing came of it, or `fail` when it can't be done. The fields are as they were
    /// before the call. An error is retried by the step's policy; when it has no attempts left, the run fails *in doubt*, and
    /// a retry of the run asks again.
    ///
    /// Where it is not written, the run fails in doubt at once:
    /// [`Orchestrator::settle`](crate::orchestrator::Orchestrator::settle) says then what became of the step.
    ///
    /// # Errors
    ///
    /// Whatever went wrong: see [`StepError`].
    fn on_uncertain(
        &mut self,
        input: &Self::Input,
        cx: &StepContext,
    ) -> impl Future<Output = StepResult<Self::Output>> + Send {
        let _ = (input, cx);
        std::future::ready(Ok(Progress::Unwritten))
    }

    /// Undoes what the step has done: called when a run of a pipeline with `on_failure = compensate` fails, or one with
    /// `on_cancel = compensate` is cancelled, after all steps behind this one were undone. It may answer `pending`, and is
    /// then called again; errors are retried by the step's policy. Its deadline does not count.
    ///
    /// `output` is what the step handed on, and none when it has not finished: then it is not known how far it came. It may
    /// have done all, or nothing, also when no call of it was ever begun; what there is of it outside is found by
    /// [`step_key`](StepContext::step_key), the idempotency key of the step's own calls. The fields are as they were last
    /// committed. What this call itself does outside has an [`idempotency_key`](StepContext::idempotency_key) of its own.
    ///
    /// Where it is not written there is nothing to undo.
    ///
    /// # Errors
    ///
    /// Whatever went wrong: see [`StepError`]. When it fails for good, the run fails, and names what is not undone.
    fn compensate(
        &mut self,
        input: &Self::Input,
        output: Option<&Self::Output>,
        cx: &StepContext,
    ) -> impl Future<Output = StepResult<()>> + Send {
        let _ = (input, output, cx);
        std::future::ready(Ok(Progress::Unwritten))
    }

    /// Looks how the step is going. Called first in place of `on_start` where that is not written.
    ///
    /// # Errors
    ///
    /// Whatever went wrong: see [`StepError`].
    fn on_continue(
        &mut self,
        input: &Self::Input,
        cx: &StepContext,
    ) -> impl Future<Output = StepResult<Self::Output>> + Send {
        let _ = (input, cx);
        std::future::ready(Ok(Progress::Unwritten))
    }

    /// Looks how many records of this step are going at once, of one run or of many: by one request to the outside, say, for
    /// a thousand jobs that are waited for. Each is [settled](Waiting::settle) by itself, and its outcome is committed by
    /// itself; one that was not settled when the call returns counts as `pending()`.
    ///
    /// Where it is written, the records of which `on_continue` would be called at one time are asked by one call of this.
    /// One that is alone at that time is asked by `on_continue`, or where that is not written by a list of one. `on_start`
    /// is called for each record as ever, and so is `on_continue` for one that was waiting for a signal, and for one whose
    /// run is suspected of killing its process.
    ///
    /// A call has the records of the runs that a worker holds, so at most as many as its
    /// concurrency (more only where one run has several), and at most
    /// `batch(max = …)`, 1,000 where nothing is said. So that many are due together, a record that is to be asked later is
    /// due when a whole multiple of `batch(gather = …)` has passed: a tenth of its poll interval where nothing is said, and a
    /// second at most.
    ///
    /// # Errors
    ///
    /// What went wrong with the call as a whole. What had been settled counts. For each of the others it is an error like one
    /// of its own, but none fails by it: one that has no attempts left, and each if the error is not to be retried, is
    /// asked alone at once. So it is when the call panics, or takes longer than the step's timeout: then nothing counts, and
    /// its records are asked again in two halves, until what is the matter with one of them is its own.
    fn on_continue_many(
        waiting: &mut [Waiting<'_, Self>],
        cx: &BatchContext,
    ) -> impl Future<Output = Result<(), StepError>> + Send {
        let _ = waiting;
        cx.say_unwritten();
        std::future::ready(Ok(()))
    }
}

/// What `#[step]` says about a step.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not declared as a step",
    label = "`#[step]` is missing above this type",
    note = "write `#[step]` as the first attribute of `{Self}`"
)]
pub trait StepDefinition: Default + Serialize + DeserializeOwned + Send + 'static {
    /// The name of its records.
    const NAME: &'static str;
    /// What was said about retries and times.
    const OPTIONS: StepOptions = StepOptions::NONE;
    /// Whether its functions block their thread, and so are called on the blocking pool.
    const BLOCKING: bool = false;
    /// Whether there may be something to undo of it; a step that says no is not asked.
    const COMPENSATES: bool = true;
    /// The resources that it needs.
    const RESOURCES: &'static [fn() -> ResourceType] = &[];
}

/// What `#[step(…)]` says about retries and times; what it doesn't say is the orchestrator's default.
#[derive(Clone, Copy, Debug)]
pub struct StepOptions {
    /// `retry(…)`.
    pub retry: RetryOptions,
    /// `timeout = "…"`: the longest that one call may take.
    pub timeout: Option<Duration>,
    /// `deadline = "…"`: the longest that the step may take over all calls, waits and restarts.
    pub deadline: Option<Duration>,
    /// `poll = "…"`: how long after `pending()` the step is asked again.
    pub poll: Option<Duration>,
    /// `batch(…)`.
    pub batch: BatchOptions,
    /// `at_most_once`: the first call is not made a second time when it is not known what became of it.
    pub at_most_once: bool,
    /// `rate = "…"`: how often the step is started, by all processes together.
    pub rate: Option<Rate>,
}

/// What `#[step(retry(…))]` says.
#[derive(Clone, Copy, Debug)]
pub struct RetryOptions {
    /// `max_attempts = …`.
    pub max_attempts: Option<u32>,
    /// `backoff = "first..longest"`.
    pub backoff: Option<(Duration, Duration)>,
    /// `if = …`: whether an error is worth a retry at all.
    pub only_if: Option<fn(&StepError) -> bool>,
}

/// What `#[step(batch(…))]` says about calls of [`on_continue_many`](Step::on_continue_many).
#[derive(Clone, Copy, Debug)]
pub struct BatchOptions {
    /// `max = …`: the most records of one call.
    pub max: Option<u32>,
    /// `gather = "…"`: a record that is asked again later is due when a whole multiple of this has passed.
    pub gather: Option<Duration>,
}

impl StepOptions {
    /// Nothing said.
    pub const NONE: Self = Self {
        retry: RetryOptions::NONE,
        timeout: None,
        deadline: None,
        poll: None,
        batch: BatchOptions::NONE,
        at_most_once: false,
        rate: None,
    };

    /// The options with the orchestrator's defaults filled in.
    #[must_use]
    pub fn policy(&self, defaults: &StepPolicy) -> StepPolicy {
        let backoff = self.retry.backoff;
        StepPolicy {
            retry: RetryPolicy {
                max_attempts: self.retry.max_attempts.unwrap_or(defaults.retry.max_attempts),
                first_delay: backoff.map_or(defaults.retry.first_delay, |(first, _)| first),
                max_delay: backoff.map_or(defaults.retry.max_delay, |(_, longest)| longest),
            },
            timeout: self.timeout.unwrap_or(defaults.timeout),
            deadline: self.deadline.or(defaults.deadline),
            poll: self.poll.unwrap_or(defaults.poll),
            gather: Duration::ZERO,
            at_most_once: self.at_most_once,
        }
    }

    /// The same for a step that is asked together with others.
    #[must_use]
    pub fn policy_of_many(&self, defaults: &StepPolicy) -> StepPolicy {
        let policy = self.policy(defaults);
        let gather = self.batch.gather.unwrap_or_else(|| (policy.poll / 10).min(LONGEST_GATHER));
        StepPolicy { gather, ..policy }
    }
}

impl BatchOptions {
    /// Nothing said.
    pub const NONE: Self = Self { max: None, gather: None };

    /// The most records of one call.
    #[must_use]
    pub const fn most(&self) -> u32 {
        match self.max {
            Some(max) => max,
            None => DEFAULT_BATCH,
        }
    }
}

impl RetryOptions {
    /// Nothing said.
    pub const NONE: Self = Self { max_attempts: None, backoff: None, only_if: None };
}
