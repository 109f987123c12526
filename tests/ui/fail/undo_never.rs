use prorch::prelude::*;

#[step]
async fn double(number: u64) -> StepResult<u64> {
    finish(number * 2)
}

#[pipeline(steps = [double])]
struct Inner;

#[pipeline(steps = [run(Inner, undo = double)])]
struct By;

#[pipeline(steps = [run(Inner, undo = nothing)])]
struct Nothing;

fn main() {}
