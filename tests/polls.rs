//! Steps that are asked together: one call settles records of many runs, each outcome by itself, and what is the matter
//! with one of them harms no other.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "polls/bench.rs"]
mod bench;

#[path = "polls/settled.rs"]
mod settled;

#[path = "polls/harm.rs"]
mod harm;

#[path = "polls/errors.rs"]
mod errors;

#[path = "polls/beside.rs"]
mod beside;

#[path = "polls/held.rs"]
mod held;

#[path = "polls/sweep.rs"]
mod sweep;
