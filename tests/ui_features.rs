//! What is told of an option whose feature is switched off: by `cargo test --test ui_features`, without the feature.

#[cfg(not(feature = "cron"))]
#[test]
fn a_schedule_without_its_feature_is_told_which_one_it_needs() {
    trybuild::TestCases::new().compile_fail("tests/ui/no_cron/*.rs");
}
