//! A database in memory keeps the contract of a repository.

use prorch_sqlite::SqliteRepository;

prorch_testkit::conformance!(async || SqliteRepository::open_in_memory().unwrap());
