#![cfg_attr(all(feature = "macros", feature = "sqlite"), doc = include_str!("../README.md"))]
#![cfg_attr(
    not(all(feature = "macros", feature = "sqlite")),
    doc = "Durable pipelines of steps, as a library."
)]
#![cfg_attr(all(feature = "macros", feature = "sqlite", feature = "cron"), doc = include_str!("../docs/schedules.md"))]

#[cfg(feature = "macros")]
pub use prorch_macros::{pipeline, step};

pub use prorch_core::config::{History, OrchestratorConfig, Retention};
pub use prorch_core::engine::{LeftRun, PassReport, PruneReport};
pub use prorch_core::error::Error;
pub use prorch_core::flow::Anything;
#[cfg(feature = "cron")]
pub use prorch_core::model::{Missed, Overlap};
pub use prorch_core::model::{NoRestart, NoVerdict, RetryPolicy, RunId, Status};
#[cfg(feature = "cron")]
pub use prorch_core::orchestrator::{NewSchedule, Schedule};
pub use prorch_core::orchestrator::{
    Orchestrator, OrchestratorBuilder, Restart, Restarted, RunHandle, RunHistory, Settle, Start, Told,
};
pub use prorch_core::payload::{Payload, PayloadError};
pub use prorch_core::pipeline::Pipeline;
pub use prorch_core::registry::{StepEntry, pipelines, steps};
pub use prorch_core::repository;
pub use prorch_core::step::{
    BatchContext, Progress, Step, StepContext, StepError, StepResult, Waiting, cancel, fail, finish, pending,
    pending_for, start_again, wait_for_signal,
};
pub use prorch_core::testing;
#[cfg(feature = "sqlite")]
pub use prorch_sqlite::{Durability, SqliteBuilder, SqliteRepository};

#[doc(hidden)]
pub use prorch_core::private as __private;

/// What a module that declares steps and pipelines needs: `use prorch::prelude::*;`.
pub mod prelude {
    #[cfg(feature = "sqlite")]
    pub use crate::SqliteRepository;
    pub use crate::{
        Anything, BatchContext, Orchestrator, OrchestratorConfig, Pipeline, Progress, Step, StepContext,
        StepError, StepResult, Waiting, cancel, fail, finish, pending, pending_for, start_again,
        wait_for_signal,
    };
    #[cfg(feature = "macros")]
    pub use crate::{pipeline, step};
}
