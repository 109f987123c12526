//! The macro that makes tests of the cases.

/// Generates the tests that tell whether a repository bears an engine under faults, in a module `faults`: several workers
/// on one store, every tenth of whose calls fails, before or after it took effect, or takes effect late. Takes the same
/// expression as [`conformance!`](crate::conformance!).
///
/// The long form (see [`soak`](crate::soak)) has 2,000 runs.
///
/// ```
/// # use prorch_core::repository::MemoryRepository;
/// prorch_testkit::faults!(async || MemoryRepository::new());
/// ```
#[macro_export]
macro_rules! faults {
    (async || $make:expr) => {
        $crate::faults!(async |_directory| $make);
    };
    (async |$directory:ident| $make:expr) => {
        #[cfg(test)]
        mod faults {
            #[allow(
                unused_imports,
                reason = "what the expression needs is imported where the macro is called"
            )]
            use super::*;

            async fn repository($directory: ::std::path::PathBuf) -> impl $crate::__Repository {
                $make
            }

            #[test]
            fn every_run_ends_as_it_should() {
                $crate::faults::run(repository, $crate::faults::load::every_run_ends_as_it_should);
            }
        }
    };
}
