//! Random sequences of what can happen to runs in a database in memory keep the promises.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use prorch_sqlite::SqliteRepository;

prorch_testkit::model!((30, 1_500), async || SqliteRepository::open_in_memory().unwrap());
