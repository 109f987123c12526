//! The core of prorch: the state machine, the seam and the engine. Use it through the crate `prorch`.

pub mod model;
pub mod repository;
pub mod payload;
pub mod flow;
pub mod step;
pub mod pipeline;
pub mod registry;
#[doc(hidden)]
pub mod private;
