use prorch::prelude::*;

#[step]
async fn double(number: u64) -> StepResult<u64> {
    finish(number * 2)
}

#[pipeline(input = u64, steps = [each(double)])]
struct Started;

fn main() {}
