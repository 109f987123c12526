use prorch::prelude::*;

#[step]
async fn double(number: u64) -> StepResult<u64> {
    finish(number * 2)
}

#[step]
async fn sum((one, other): (u64, u64)) -> StepResult<u64> {
    finish(one + other)
}

struct Forgotten;

#[pipeline(steps = [[Forgotten, double], sum])]
struct First;

#[pipeline(steps = [double, [double, Forgotten], sum])]
struct Middle;

#[pipeline(steps = [double, [double, Forgotten]])]
struct Last;

#[pipeline(steps = [double, [double, run(Forgotten)]])]
struct OfARun;

fn main() {}
