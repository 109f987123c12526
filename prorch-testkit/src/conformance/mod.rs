//! The contract of a repository as tests, one for each clause. See [`conformance!`](crate::conformance!).
//!
//! Each file is a theme, each function in it one case: it gets a [`Bench`] over a repository without runs. A new case
//! is a function, and a line in the macro's list.

#![allow(missing_docs, reason = "the name of a case is what there is to say about it")]

use std::path::PathBuf;
use std::time::Duration;

use prorch_core::repository::Repository;

mod bench;
mod cases;
#[doc(hidden)]
pub mod saving;
#[doc(hidden)]
pub mod restarts;
#[doc(hidden)]
pub mod keys;
#[doc(hidden)]
pub mod fencing;
#[doc(hidden)]
pub mod idle;
#[doc(hidden)]
pub mod stale;
#[doc(hidden)]
pub mod batches;
#[doc(hidden)]
pub mod resending;
#[doc(hidden)]
pub mod inbox;
#[doc(hidden)]
pub mod posts;
#[doc(hidden)]
pub mod children;
#[doc(hidden)]
pub mod definitions;
#[doc(hidden)]
pub mod records;
#[doc(hidden)]
pub mod parts;
#[doc(hidden)]
pub mod undo;
#[doc(hidden)]
pub mod removal;
#[doc(hidden)]
pub mod ends;
#[doc(hidden)]
pub mod history;
#[doc(hidden)]
pub mod search;
#[doc(hidden)]
pub mod paging;
#[doc(hidden)]
pub mod claims;
#[doc(hidden)]
pub mod choice;
#[doc(hidden)]
pub mod contention;
#[doc(hidden)]
pub mod limits;
#[doc(hidden)]
pub mod next_due;
#[doc(hidden)]
pub mod clocks;
#[doc(hidden)]
pub mod turns;
#[doc(hidden)]
pub mod text;
#[doc(hidden)]
pub mod time;

pub use bench::{Bench, Held};

/// No case takes as long as this, even on a slow machine.
const LONGEST: Duration = Duration::from_secs(120);

/// Runs one case against the repository that `make` opens, in a new directory and on a runtime of its own.
///
/// # Panics
///
/// When the repository breaks the clause that the case is about.
pub fn run<R: Repository>(make: impl AsyncFnOnce(PathBuf) -> R, case: impl AsyncFnOnce(Bench<R>)) {
    crate::case::run(make, async |repository| {
        let ended = tokio::time::timeout(LONGEST, case(Bench::new(repository))).await;
        ended.expect("the case does not hang");
    });
}
