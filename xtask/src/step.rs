//! One step of a chore: a heading, the work, the time it took.

use std::fmt;
use std::time::Instant;

/// Why a chore ended early, in one line.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(crate) type Done = Result<(), Failure>;

/// Does the work of the step with this name.
pub(crate) fn step(name: &str, work: impl FnOnce() -> Done) -> Done {
    println!("\n=== {name}");
    let begun = Instant::now();
    let done = work();
    let took = begun.elapsed().as_secs_f64();
    match done {
        Ok(()) => {
            println!("=== {name}: done in {took:.1} s");
            Ok(())
        }
        Err(failure) => Err(Failure(format!("{name} failed after {took:.1} s: {failure}"))),
    }
}
