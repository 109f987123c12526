//! The macro that makes a test of it.

/// Generates the test that plays random sequences of what can happen to runs, in a module `model`. Takes how many in the
/// short form and in the long one (see [`soak`](crate::soak)), and the same expression as
/// [`conformance!`](crate::conformance!).
///
/// ```
/// # use prorch_core::repository::MemoryRepository;
/// prorch_testkit::model!((200, 10_000), async || MemoryRepository::new());
/// ```
#[macro_export]
macro_rules! model {
    ($amounts:expr, async || $make:expr) => {
        $crate::model!($amounts, async |_directory| $make);
    };
    ($amounts:expr, async |$directory:ident| $make:expr) => {
        #[cfg(test)]
        mod model {
            #[allow(
                unused_imports,
                reason = "what the expression needs is imported where the macro is called"
            )]
            use super::*;

            async fn repository($directory: ::std::path::PathBuf) -> impl $crate::__Repository {
                $make
            }

            #[test]
            fn every_sequence_keeps_the_promises() {
                $crate::model_test::run($amounts, repository);
            }
        }
    };
}
