use prorch::prelude::*;

#[step]
async fn double(number: u64) -> StepResult<u64> {
    finish(number * 2)
}

#[pipeline]
struct Bare;

#[pipeline(name = "named")]
struct Named;

#[pipeline(steps = [])]
struct Empty;

fn main() {}
