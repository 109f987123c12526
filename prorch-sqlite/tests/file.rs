//! A file keeps the contract of a repository.

use prorch_sqlite::SqliteRepository;

prorch_testkit::conformance!(async |directory| SqliteRepository::open(directory.join("runs.db")).unwrap());
prorch_testkit::faults!(async |directory| SqliteRepository::open(directory.join("runs.db")).unwrap());
