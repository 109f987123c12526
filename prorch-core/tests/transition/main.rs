//! The state machine by itself: what follows from every event, without an engine and without a store.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bench;
mod chart;
mod answers;
mod outside;
mod agenda;
mod stages;
mod rates;
mod restart;
mod undo;
mod doubt;
mod walk;
