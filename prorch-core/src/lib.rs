//! The core of prorch: the state machine, the seam and the engine. Use it through the crate `prorch`.

pub mod model;
pub mod repository;
pub mod payload;
pub mod flow;
pub mod step;
pub mod pipeline;
#[cfg(feature = "cron")]
mod schedule;
pub mod registry;
pub mod clock;
pub mod config;
pub mod error;
pub mod engine;
pub mod orchestrator;
pub mod testing;
#[doc(hidden)]
pub mod private;
