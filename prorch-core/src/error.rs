//! The one error of prorch's calls.

use crate::model::{Cause, NoRestart, NoVerdict, Refusal, RunId, Status};
use crate::payload::PayloadError;
use crate::repository::StoreError;

/// Why a call to the orchestrator could not be answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The repository could not do it.
    #[error("the repository: {0}")]
    Store(#[from] StoreError),

    /// A value could not be encoded or decoded.
    #[error(transparent)]
    Payload(#[from] PayloadError),

    /// A value is too large to be stored.
    #[error(
        "the {what} has {bytes} bytes, and at most {limit} are stored: hand over a path or a key to it, or raise \
         `OrchestratorConfig::max_payload`"
    )]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// Its length as JSON text.
        bytes: usize,
        /// The longest that is stored.
        limit: usize,
    },

    /// There is no run with this id.
    #[error("there is no run {0} in this repository")]
    NotFound(RunId),

    /// The run was there, and is removed, or is being removed.
    #[error("run {0} has ended and was removed from this repository")]
    Removed(RunId),

    /// The run's status does not allow it; nothing was changed.
    #[error("run {run}: {refusal}")]
    Refused {
        /// The run.
        run: RunId,
        /// What was asked of it, and the status.
        #[source]
        refusal: Refusal,
    },

    /// The run can't be restarted from that step; nothing was written.
    #[error("run {run} can't be restarted: {why}")]
    NotRestarted {
        /// The run.
        run: RunId,
        /// Why not, and what to do instead.
        #[source]
        why: NoRestart,
    },

    /// It can't be said what became of that step of the run; nothing was changed.
    #[error("run {run} can't be settled: {why}")]
    NotSettled {
        /// The run.
        run: RunId,
        /// Why not, and what to do instead.
        #[source]
        why: NoVerdict,
    },

    /// The run that was waited for failed.
    #[error("run {run} failed{}: {}", at_step(.cause), .cause.text)]
    Failed {
        /// The run.
        run: RunId,
        /// Which step failed, and why.
        cause: Cause,
    },

    /// The run that was waited for was cancelled.
    #[error("run {run} was cancelled{}: {}", at_step(.cause), .cause.text)]
    Cancelled {
        /// The run.
        run: RunId,
        /// By whom, and why.
        cause: Cause,
    },

    /// The run is stored in a state that no engine writes.
    #[error("run {run} is {status}, but {what}")]
    Inconsistent {
        /// The run.
        run: RunId,
        /// Its status.
        status: Status,
        /// What is missing.
        what: &'static str,
    },

    /// The run with this id executes another pipeline than was asked for.
    #[error("run {run} executes the pipeline `{found}`, not `{expected}`")]
    OtherPipeline {
        /// The run.
        run: RunId,
        /// The pipeline that it executes.
        found: String,
        /// The pipeline that was asked for.
        expected: &'static str,
    },

    /// Two pipelines have one name.
    #[error(
        "two pipelines are called `{name}`, in `{first}` and in `{second}`: give one of them another name by \
         `#[pipeline(name = \"…\", steps = […])]`"
    )]
    DuplicateName {
        /// The name.
        name: &'static str,
        /// The module of one.
        first: &'static str,
        /// The module of the other.
        second: &'static str,
    },

    /// The name of a pipeline is one that prorch keeps for itself.
    #[error(
        "the pipeline `{name}` in `{declared_in}`: names that begin with `prorch.` are prorch's own; give it another one by \
         `#[pipeline(name = \"…\", steps = […])]`"
    )]
    ReservedName {
        /// The name.
        name: &'static str,
        /// The module that declares it.
        declared_in: &'static str,
    },

    /// A schedule makes no sense, or there is none of that name.
    #[cfg(feature = "cron")]
    #[error("the schedule `{name}`: {why}")]
    Schedule {
        /// Its name.
        name: String,
        /// What is wrong, and what to write.
        why: String,
    },

    /// There is nothing that a worker could run.
    #[error(
        "this worker knows no pipeline: write `.pipeline::<MyPipeline>()` where the orchestrator is built, or, when the \
         pipelines live in another crate, `use my_jobs as _;` so that the linker keeps it"
    )]
    NoPipelines,

    /// A step needs a resource that the orchestrator doesn't have.
    #[error(
        "step `{step}` of pipeline `{pipeline}` needs a resource of type `{resource}`: write `.resource(value)` where \
         the orchestrator is built"
    )]
    MissingResource {
        /// The pipeline.
        pipeline: &'static str,
        /// The step.
        step: String,
        /// The type of the resource.
        resource: &'static str,
    },

    /// A step with a rate doesn't stand alone in its stage.
    #[error(
        "step `{step}` of pipeline `{pipeline}` has a rate, and is one of several members of its stage: let it stand alone, \
         or in a pipeline of its own, and write `run(ThatPipeline)` or `each(run(ThatPipeline))`"
    )]
    RateAmongMany {
        /// The pipeline.
        pipeline: &'static str,
        /// The step.
        step: &'static str,
    },

    /// A setting makes no sense.
    #[error("the configuration: {0}")]
    Config(String),

    /// A worker was started outside a tokio runtime.
    #[error(
        "steps are called on a tokio runtime, and there is none here: call this from `#[tokio::main]` or the like"
    )]
    NoRuntime,

    /// The engine's thread could not be started, or ended before its time.
    #[error("the engine: {0}")]
    Engine(String),
}

impl Error {
    /// Whether it is unknown if what was to be stored is there. Asking again with the same key tells.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_ambiguous())
    }

    /// Whether it will pass by itself: asking again later is right.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_transient())
    }
}

fn at_step(cause: &Cause) -> String {
    cause.step.as_ref().map(|step| format!(" at step `{step}`")).unwrap_or_default()
}
