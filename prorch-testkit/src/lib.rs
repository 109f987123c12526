//! For authors of prorch repositories.
//!
//! * [`conformance!`] is the contract of [`Repository`](prorch_core::repository::Repository) as tests: one line in a
//!   test file of a back end generates all of them.
//! * [`crash_sweep`] runs a pipeline under every crash that can happen between its worker and the store.

pub mod conformance;
pub mod faults;
pub mod sweep;
pub mod soak;

pub use sweep::crash_sweep;

#[doc(hidden)]
pub use prorch_core::repository::Repository as __Repository;
