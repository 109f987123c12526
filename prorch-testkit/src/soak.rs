//! How much a test does, and by which chance.
//!
//! Every test has a short form, which is always run. Where amounts matter it has a long one too, which is run when the
//! environment variable `PRORCH_SOAK` is `1`. What it measured it says by [`say`].

#![allow(clippy::print_stdout, reason = "a test by chance says its seed, a long one its figures")]

use std::time::{SystemTime, UNIX_EPOCH};

/// `long` in the long form of a test, `short` else.
#[must_use]
pub fn pick<T>(short: T, long: T) -> T {
    if is_long() { long } else { short }
}

/// Whether the long form was asked for.
#[must_use]
pub fn is_long() -> bool {
    std::env::var_os("PRORCH_SOAK").is_some_and(|value| value == "1")
}

/// Chance for a test, from the environment variable `PRORCH_SEED`, or from the time when it is not set. The seed is
/// printed, so that a test that failed can be run again with it.
///
/// # Panics
///
/// When `PRORCH_SEED` is set to something that is no number.
#[must_use]
pub fn chance() -> fastrand::Rng {
    seeded(|| {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        since_1970.as_secs() ^ u64::from(since_1970.subsec_nanos())
    })
}

/// The same, but that the short form takes the same chance every time: for a test whose long form looks for what is new,
/// and whose short form holds what was found.
///
/// # Panics
///
/// As there.
#[must_use]
pub fn chance_of_the_long_form() -> fastrand::Rng {
    if is_long() { chance() } else { seeded(|| 1) }
}

fn seeded(otherwise: impl FnOnce() -> u64) -> fastrand::Rng {
    let seed = match std::env::var("PRORCH_SEED") {
        Ok(seed) => seed.parse().expect("PRORCH_SEED is a number"),
        Err(_) => otherwise(),
    };
    println!("PRORCH_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

/// Says what a test measured, on a line of its own that begins with `figure: `, so that it is found among the lines of
/// many tests.
pub fn say(figures: &str) {
    println!("\nfigure: {figures}");
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_form_is_chosen_by_the_environment() {
        let long = std::env::var("PRORCH_SOAK").is_ok_and(|value| value == "1");
        assert_eq!(super::pick("short", "long"), if long { "long" } else { "short" });
    }
}
