//! `cargo xtask ci`: everything that must hold before a change is taken, the quickest checks first.

use crate::command::{cargo, run};
use crate::step::{Done, step};
use crate::{deny, dependencies, test};

/// The facade's features, alone and together; all together are what the other steps build.
const FEATURES: [&str; 8] =
    ["", "macros", "sqlite", "macros,sqlite", "cron", "macros,cron", "sqlite,cron", "macros,sqlite,cron"];

pub(crate) fn run_ci() -> Done {
    step("format", || run(&mut cargo(&["fmt", "--all", "--check"])))?;
    step("dependencies: count", dependencies::check)?;
    step("dependencies: bans and licences", deny::check)?;
    step("clippy", clippy)?;
    step("documentation", documentation)?;
    for features in FEATURES {
        step(&format!("features: {}", if features.is_empty() { "none" } else { features }), || {
            check(features)
        })?;
    }
    step("options whose feature is off", || {
        run(&mut cargo(&["test", "--package", "prorch", "--test", "ui_features"]))
    })?;
    test::run(test::Form::Short, &[])
}

fn clippy() -> Done {
    run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]))
}

fn documentation() -> Done {
    let mut doc = cargo(&["doc", "--workspace", "--no-deps", "--all-features"]);
    run(doc.env("RUSTDOCFLAGS", "-D warnings"))
}

/// Only the library: examples and tests may ask for the default features.
fn check(features: &str) -> Done {
    let facade = ["clippy", "--package", "prorch", "--lib", "--no-default-features", "--features", features];
    run(cargo(&facade).args(["--", "-D", "warnings"]))
}
