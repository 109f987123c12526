//! The list of all cases, and the macros that make tests of them.

/// Generates the tests that run several worker processes on one store, in a module `processes`. Some processes are
/// frozen, some killed, some end themselves, some have a wrong clock.
///
/// A worker is a process of its own: the test's program, run again. The expression opens the store, in the test and in each
/// worker; all of one test are given the same directory.
///
/// ```no_run
/// # use prorch_core::repository::MemoryRepository as MyRepository;
/// prorch_testkit::processes!(async |directory| MyRepository::new());
/// # let _ = "such a store has to be on a disk or in a server, where all processes find it";
/// ```
#[macro_export]
macro_rules! processes {
    (async |$directory:ident| $make:expr) => {
        $crate::worker_process!(processes: async |$directory| $make, {
            sharing: [
                two_workers_make_every_effect_once,
            ]
            frozen: [
                the_runs_of_a_frozen_worker_go_to_others_and_it_can_change_nothing_when_it_wakes,
            ]
            killed: [
                nothing_is_lost_and_nothing_made_again_whenever_workers_are_killed,
            ]
            limits: [
                a_limit_is_never_exceeded_and_is_reached_whenever_workers_are_killed,
                a_rate_is_kept_by_all_workers_together_whenever_they_are_killed,
            ]
            many: [
                a_thousand_children_and_a_thousand_items_end_once_each_whenever_workers_are_killed,
            ]
            builds: [
                workers_of_an_old_and_a_new_build_lose_nothing_while_both_are_killed,
            ]
            harm: [
                a_step_that_aborts_harms_its_own_run_only,
                a_step_that_uses_up_the_memory_harms_its_own_run_only,
            ]
            clocks: [
                a_clock_that_jumps_under_load_costs_no_lease,
                workers_whose_clocks_are_hours_apart_take_nothing_from_each_other,
                what_a_process_with_a_wrong_clock_started_is_done_by_one_whose_clock_is_right,
                what_a_process_whose_clock_is_right_started_is_done_by_one_whose_clock_is_wrong,
                the_runs_of_a_dead_worker_are_taken_over_whatever_its_clock_said,
            ]
        });
    };
}

/// Generates a module with the entry of worker processes, and a function `run` in it that gives a
/// [`Scene`](crate::processes::Scene) to a test: for tests of a back end beside those of [`processes!`](crate::processes!).
///
/// `prorch_testkit::worker_process!(workers: async |directory| MyRepository::open(directory.join("runs.db")).unwrap());`
#[macro_export]
macro_rules! worker_process {
    ($module:ident: async |$directory:ident| $make:expr) => {
        $crate::worker_process!($module: async |$directory| $make, {});
    };
    ($module:ident: async |$directory:ident| $make:expr, { $($theme:ident: [$($case:ident,)*])* }) => {
        #[cfg(unix)]
        #[cfg(test)]
        mod $module {
            #[allow(unused_imports, reason = "what the expression needs is imported where the macro is called")]
            use super::*;

            async fn repository($directory: ::std::path::PathBuf) -> impl $crate::__Repository {
                $make
            }

            /// Is a worker when this program was started as one.
            #[test]
            fn child() {
                $crate::processes::child(repository);
            }

            /// Runs a test in a scene of its own.
            #[allow(dead_code, reason = "a file may have no tests but those of the list")]
            pub(super) fn run(test: impl ::core::ops::AsyncFnOnce($crate::processes::Scene)) {
                let entry = ::core::concat!(::core::module_path!(), "::child");
                $crate::processes::run(entry, repository, test);
            }

            $(mod $theme {
                $(#[test]
                fn $case() {
                    super::run($crate::processes::$theme::$case);
                })*
            })*
        }
    };
}
