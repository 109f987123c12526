//! Runs that fail or are cancelled are undone: each step once, the last one first, whatever happens to the workers on the way.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod control;
mod four_steps;
mod stages;
mod trip;
mod world;

#[path = "../example_program/mod.rs"]
mod example_program;
