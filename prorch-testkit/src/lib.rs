//! For authors of prorch repositories.
//!
//! * [`conformance!`] is the contract of [`Repository`](prorch_core::repository::Repository) as tests: one line in a
//!   test file of a back end generates all of them.
//! * [`faults!`] is an engine under faults as tests: several workers on one store, every tenth of whose calls fails.
//! * [`crash_sweep`] runs a pipeline under every crash that can happen between its worker and the store.
//! * [`ManualClock`] is a clock that a test moves.

pub mod conformance;
pub mod faults;
pub mod spy;
pub mod sweep;
pub mod soak;

pub use prorch_core::clock::ManualClock;
pub use sweep::crash_sweep;

#[doc(hidden)]
pub use prorch_core::repository::Repository as __Repository;
