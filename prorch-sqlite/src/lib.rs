//! prorch's repository on an embedded SQLite database: one file, no server, several processes.
//!
//! One thread writes, in one transaction for everything that waits; a few threads read. What a call means is said by
//! [`prorch_core::repository::Repository`]; in here it is said in SQL.

mod repository;
mod builder;
mod handle;
mod reader;
mod writer;
mod begin;
mod batch;
mod queue;
mod wal;
mod watch;
mod told;
mod notice;
mod condition;
mod holder;
mod open;
mod schema;
mod snapshot;
mod definitions;
mod hot;
mod gates;
mod inbox;
mod records;
mod insert;
mod history;
mod removal;
mod update;
mod due;
mod newest;
mod claim;
mod read;
mod ended;
mod search;
mod columns;
mod mail;
mod codes;
mod error;
#[cfg(test)]
mod plan;

pub use builder::{Durability, SqliteBuilder};
pub use repository::SqliteRepository;
