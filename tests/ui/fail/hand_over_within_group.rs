use prorch::prelude::*;

#[step]
async fn double(number: u64) -> StepResult<u64> {
    finish(number * 2)
}

#[step]
async fn length(text: String) -> StepResult<usize> {
    finish(text.len())
}

#[pipeline(steps = [[double, length]])]
struct Begins;

fn main() {}
