//! How a case is run.

use std::path::PathBuf;

use prorch_core::repository::Repository;

/// Runs one case against the repository that `make` opens, in a new directory and on a runtime of its own.
pub(crate) fn run<R: Repository>(make: impl AsyncFnOnce(PathBuf) -> R, case: impl AsyncFnOnce(R)) {
    let directory = tempfile::tempdir().expect("a directory for the test");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime for the test");
    runtime.block_on(async { case(make(directory.path().to_path_buf()).await).await });
}
