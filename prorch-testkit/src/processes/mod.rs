//! Several worker processes on one store: frozen, killed, or with a wrong clock. See [`processes!`](crate::processes!).
//!
//! A worker is the test's program run again. It runs the [pipelines](Plain) of this module, whose steps note in a
//! journal what they do; a test reads and counts that. A [`Scene`] has the store's directory and starts workers; a
//! [`Worker`] is a process that ends with its guard, however the test ends.

mod cases;
mod child;
mod hooks;
mod items;
mod journal;
mod log;
mod pipelines;
mod scene;
mod steps;
mod tally;
mod task;
mod worker;
#[doc(hidden)]
pub mod sharing;
#[doc(hidden)]
pub mod frozen;
#[doc(hidden)]
pub mod killed;
#[doc(hidden)]
pub mod limits;
#[doc(hidden)]
pub mod many;
#[doc(hidden)]
pub mod builds;
#[doc(hidden)]
pub mod harm;
#[doc(hidden)]
pub mod clocks;

use std::path::PathBuf;
use std::time::Duration;

use prorch_core::repository::Repository;

pub use child::child;
pub use items::{Family, Items, Many};
pub use journal::{Does, Effect};
pub use log::LogLine;
pub use pipelines::{Changing, Patient, Plain};
pub use scene::Scene;
pub use steps::{Act, Order};
pub use tally::{Tally, assert_quiet};
pub use task::{Build, Time};
pub use worker::{Worker, WorkerSetup};

use killed::Victims;

/// No amount of work in here takes as long as this, even on a slow machine.
pub const LONGEST: Duration = Duration::from_secs(600);

/// Runs one test in a scene of its own, on a runtime of its own. Its workers begin at the test whose path `entry` is,
/// with the name of the crate in front.
///
/// # Panics
///
/// When the test does.
pub fn run<R: Repository>(
    entry: &'static str,
    make: impl AsyncFnOnce(PathBuf) -> R,
    test: impl AsyncFnOnce(Scene),
) {
    let entry = entry.split_once("::").map_or(entry, |(_, path)| path);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime for the test");
    runtime.block_on(async { test(Scene::new(entry, make).await).await });
}
