//! For authors of prorch repositories.
//!
//! [`conformance!`] is the contract of [`Repository`](prorch_core::repository::Repository) as tests: one line in a
//! test file of a back end generates all of them.

pub mod conformance;

#[doc(hidden)]
pub use prorch_core::repository::Repository as __Repository;
