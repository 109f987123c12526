//! Steps whose first call is made at most once: whatever happens to it, prorch makes no second one by itself.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bank;
mod window;
mod settle;
mod stages;
mod control;
mod sweep;
