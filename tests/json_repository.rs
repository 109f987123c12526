//! The example `json_repository` keeps the contract of a repository.

#[path = "../examples/json_repository/repository.rs"]
mod repository;

use prorch::RunId;
use prorch::repository::{Part, Repository, StoreErrorKind};
use repository::JsonRepository;

/// A record of it can't be broken alone: the file is one document.
#[tokio::test]
async fn a_file_that_somebody_broke_is_refused_whole() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("runs.json");
    let repository = JsonRepository::open(&path).expect("opens");
    std::fs::write(&path, "{\"runs\": [oh").expect("is written");
    let id = RunId::from_bytes([1; 16]);
    let asked = repository.get(id, Part::Row).await.expect_err("it can't be read");
    let opened = JsonRepository::open(&path).expect_err("it can't be opened");
    for error in [asked, opened] {
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        assert!(error.to_string().contains("runs.json"), "{error}");
    }
    assert_eq!(std::fs::read_to_string(&path).expect("is there"), "{\"runs\": [oh", "and left as it is");
}

prorch_testkit::conformance!(
    async |directory| JsonRepository::open(directory.join("runs.json")).expect("opens")
);
