//! A pipeline that is more visible than its steps says what goes in and what comes out.
#![deny(warnings, missing_docs)]

use prorch::prelude::*;

#[step]
struct Transfer;

impl Step for Transfer {
    type Input = u64;
    type Output = u32;

    async fn on_start(&mut self, input: &u64, _: &StepContext) -> StepResult<u32> {
        finish(u32::try_from(*input)?)
    }
}

/// What other crates start.
#[pipeline(input = u32, output = u64, steps = [Transfer])]
pub struct Numbers;

/// Open to all.
#[step]
pub struct Check;

impl Step for Check {
    type Input = u32;
    type Output = u32;
}

/// Only what goes in has to be said.
#[pipeline(input = u64, steps = [Transfer, Check])]
pub struct Begun;

/// Only what comes out has to be said.
#[pipeline(output = u64, steps = [Check, Transfer])]
pub struct Ended;

/// Nothing has to be said.
#[pipeline(steps = [Check])]
pub struct Checked;

fn main() {
    let _ = [Numbers::definition(), Begun::definition(), Ended::definition(), Checked::definition()];
}
