//! What a run is told from outside (signals, a cancel, a pause and a resume, a retry), at every point of its life, while
//! its program is cut off at every write that it makes, those by which it tells the run something among them: nothing
//! that was told is lost or counts twice, and every call whose answer was committed was made once.
//!
//! The short form leaves out some of the points at which a run is told something, the long one none.

#![cfg(all(feature = "macros", feature = "sqlite"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod told;
mod script;
mod sweep;

mod signals;
mod cancels;
mod pauses;
mod retries;
