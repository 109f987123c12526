//! The tests that stand beside the code of the examples: cargo runs none of an example's own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "the parts are used by the example")]
#![cfg(all(feature = "macros", feature = "sqlite"))]

#[path = "../examples/backup/archiver.rs"]
mod archiver;
#[path = "../examples/backup/archivers.rs"]
mod archivers;
#[path = "../examples/backup/files.rs"]
mod files;
#[path = "../examples/backup/generation.rs"]
mod generation;
#[path = "../examples/backup/notification.rs"]
mod notification;
#[path = "../examples/backup/options.rs"]
mod options;
#[path = "../examples/backup/pipeline.rs"]
mod pipeline;
#[path = "../examples/backup/probe.rs"]
mod probe;
#[path = "../examples/backup/screen.rs"]
mod screen;
#[path = "../examples/backup/ticket.rs"]
mod ticket;
#[path = "../examples/backup/transfer.rs"]
mod transfer;
#[path = "../examples/backup/walk.rs"]
mod walk;
#[path = "../examples/backup/webhook.rs"]
mod webhook;

// `letter.rs` finds the `write_whole` of the other example's `files.rs`, which does the same.
#[path = "../examples/email/audience.rs"]
mod audience;
#[path = "../examples/email/letter.rs"]
mod letter;
