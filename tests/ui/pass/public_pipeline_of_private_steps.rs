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

fn main() {
    let _ = Numbers::definition();
}
