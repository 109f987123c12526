use prorch::prelude::*;

#[step]
async fn double(number: u64) -> StepResult<u64> {
    finish(number * 2)
}

#[step]
async fn show(number: u64) -> StepResult<String> {
    finish(number.to_string())
}

#[pipeline(steps = [[double, show], double])]
struct Numbers;

fn main() {}
