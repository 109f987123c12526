use prorch::prelude::*;

#[step]
unsafe fn transfer(number: u64) -> StepResult<u64> {
    finish(number)
}

fn main() {}
