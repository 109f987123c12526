//! The engine: one loop of turns for every back end.
//!
//! ```text
//! claim ─▶ dispatch ─▶ (the user's code, on the user's runtime) ─▶ decide ─▶ commit ─▶ go on, or give the run back
//! ```
//!
//! One task owns all runs that this worker holds. Outcomes come in on one channel; everything that has come is one
//! [`turn`](crate::repository::Repository::turn) of the repository, so that the batch grows with the load and is one
//! when there is only one. The loop has a thread and a small runtime of its own: a step that blocks its thread stops
//! neither the turns nor the renewal of leases.

mod time;
mod shared;
mod handle;
mod report;
mod slots;
mod look;
mod worker;
mod wake;
mod turn;
mod calls;
mod polls;
mod together;
mod decide;
mod doubt;
mod reading;
mod handed;
mod lists;
mod undo;
mod executor;
mod leases;
mod neighbours;
mod adopt;
mod left;
mod prune;
mod retention;

pub use left::LeftRun;
pub use prune::PruneReport;
pub use report::PassReport;

pub(crate) use handle::{Engine, Stop};
pub(crate) use prune::Sweep;
pub(crate) use shared::{Replay, Shared, Waiters, new_id};
pub(crate) use time::StoreTime;
pub(crate) use worker::Mode;
