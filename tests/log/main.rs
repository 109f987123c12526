//! What a program hears in its log: which call is under way, what is left and why, and no payload.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod capture;
mod left;
mod nonsense;
mod span;
