//! The example `json_repository` keeps the contract of a repository.

#[path = "../examples/json_repository/repository.rs"]
mod repository;

use repository::JsonRepository;

prorch_testkit::conformance!(
    async |directory| JsonRepository::open(directory.join("runs.json")).expect("opens")
);
