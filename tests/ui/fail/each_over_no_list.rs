use prorch::prelude::*;

#[step]
async fn double(number: u64) -> StepResult<u64> {
    finish(number * 2)
}

#[pipeline(steps = [double, each(double)])]
struct AfterAStep;

#[pipeline(steps = [[double, double], each(double)])]
struct AfterAGroup;

fn main() {}
