use prorch::prelude::*;

#[step]
async fn double(number: u64) -> StepResult<u64> {
    finish(number * 2)
}

#[pipeline(steps = [double])]
struct Inner;

#[pipeline(steps = [double, run(Inner)], on_failure = compensate)]
struct Outer;

#[pipeline(steps = [[double, run(Inner)]], on_cancel = compensate)]
struct Group;

fn main() {}
