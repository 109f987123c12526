use prorch::prelude::*;

#[step]
async fn double(number: u64) -> StepResult<u64> {
    finish(number * 2)
}

#[step]
struct Transfer;

#[pipeline(steps = [Transfer, double])]
struct Numbers;

fn main() {}
