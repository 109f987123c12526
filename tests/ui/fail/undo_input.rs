use prorch::prelude::*;

#[step]
async fn double(number: u64) -> StepResult<u64> {
    finish(number * 2)
}

#[pipeline(steps = [double])]
struct Inner;

#[step]
async fn halve(number: u64) -> StepResult<()> {
    finish(drop(number / 2))
}

#[pipeline(steps = [run(Inner, undo = halve)], on_failure = compensate)]
struct Outer;

fn main() {}
