//! Schedules: which ticks fire, what a program can say about them, and what no crash changes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bench;
#[cfg(feature = "sqlite")]
mod processes;
mod sweep;
mod control;
mod declared;
mod year;
