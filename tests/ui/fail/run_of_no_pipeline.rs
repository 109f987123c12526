use prorch::prelude::*;

#[step]
async fn double(number: u64) -> StepResult<u64> {
    finish(number * 2)
}

struct Forgotten;

#[pipeline(steps = [double, run(double)])]
struct OfAStep;

#[pipeline(steps = [double, run(Forgotten)])]
struct OfAType;

fn main() {}
