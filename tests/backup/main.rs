//! The example `backup`, from the outside: what it leaves, what it says, and what a kill does to it.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../example_program/mod.rs"]
mod example_program;
mod bench;

mod good;
mod bad;
mod crash;
mod webhooks;
mod kill;
