use prorch::prelude::*;

#[step]
async fn double(number: u64) -> StepResult<u64> {
    finish(number * 2)
}

#[pipeline(steps = [double])]
struct Doubling;

#[pipeline(steps = [double, Doubling])]
struct Outer;

fn main() {}
