//! For authors of prorch repositories.
//!
//! * [`conformance!`] is the contract of [`Repository`](prorch_core::repository::Repository) as tests: one line in a
//!   test file of a back end generates all of them.
//! * [`processes!`] runs several worker processes on one store, by one line too: frozen, killed, with a wrong clock.
//! * [`faults!`] is an engine under faults as tests: several workers on one store, every tenth of whose calls fails.
//! * [`crash_sweep`] runs a pipeline under every crash that can happen between its worker and the store.
//! * `disk` (on Linux) is a disk under a child process: it loses what was not synced, fails, fills up, freezes a writer.
//! * [`clock`] and [`ManualClock`] are clocks that are wrong, that jump, or that a test moves.

mod case;
pub mod soak;
pub mod clock;
pub mod conformance;
pub mod faults;
pub mod model_test;
#[cfg(unix)]
pub mod processes;
pub mod spy;
pub mod sweep;
#[cfg(target_os = "linux")]
pub mod disk;

pub use prorch_core::clock::ManualClock;
pub use sweep::crash_sweep;

#[doc(hidden)]
pub use prorch_core::repository::Repository as __Repository;
