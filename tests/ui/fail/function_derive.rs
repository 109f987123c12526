use prorch::prelude::*;

#[step(derive(Default))]
async fn transfer(number: u64) -> StepResult<u64> {
    finish(number)
}

fn main() {}
