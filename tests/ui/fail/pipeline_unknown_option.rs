use prorch::prelude::*;

#[step]
async fn double(number: u64) -> StepResult<u64> {
    finish(number * 2)
}

#[pipeline(step = [double])]
struct Near;

#[pipeline(steps = [double], retries = 5)]
struct Far;

fn main() {}
