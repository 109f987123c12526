//! A repository that fails: at a chosen write, or now and then. See [`FaultyRepository`], and [`faults!`](crate::faults!)
//! for the tests of a back end under it.

mod fault;
mod write;
mod plan;
mod repository;

pub use fault::Fault;
pub use plan::Odds;
pub use repository::FaultyRepository;
