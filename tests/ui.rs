//! One test for each mistake that the macros or the types can see, and what must compile.

#[test]
fn mistakes_are_told_once_and_where_they_were_made() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/fail/*.rs");
    cases.pass("tests/ui/pass/*.rs");
    #[cfg(feature = "cron")]
    cases.compile_fail("tests/ui/cron/*.rs");
}
