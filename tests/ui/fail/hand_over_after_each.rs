use prorch::prelude::*;

#[step]
async fn double(number: u64) -> StepResult<u64> {
    finish(number * 2)
}

#[step]
async fn up_to(number: u64) -> StepResult<Vec<u64>> {
    finish((0..number).collect())
}

#[pipeline(steps = [up_to, each(double), double])]
struct Numbers;

fn main() {}
