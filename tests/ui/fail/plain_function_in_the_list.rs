use prorch::prelude::*;

#[step]
async fn double(number: u64) -> StepResult<u64> {
    finish(number * 2)
}

async fn plain(number: u64) -> StepResult<u64> {
    finish(number)
}

#[pipeline(steps = [double, plain])]
struct Numbers;

fn main() {}
