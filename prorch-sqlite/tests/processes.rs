//! Several worker processes on one file.

use prorch_sqlite::SqliteRepository;

prorch_testkit::processes!(async |directory| SqliteRepository::open(directory.join("runs.db")).unwrap());
