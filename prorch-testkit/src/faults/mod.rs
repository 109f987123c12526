//! A repository that fails: at a chosen write, or now and then. See [`FaultyRepository`], and [`faults!`](crate::faults!)
//! for the tests of a back end under it.

mod fault;
mod write;
mod plan;
mod repository;
mod cases;
#[doc(hidden)]
pub mod load;

use std::path::PathBuf;

use prorch_core::repository::Repository;

pub use fault::Fault;
pub use plan::Odds;
pub use repository::FaultyRepository;

/// Runs one case against the repository that `make` opens, in a new directory and on a runtime of its own.
///
/// # Panics
///
/// When the case fails.
pub fn run<R: Repository>(make: impl AsyncFnOnce(PathBuf) -> R, case: impl AsyncFnOnce(R)) {
    crate::case::run(make, case);
}
