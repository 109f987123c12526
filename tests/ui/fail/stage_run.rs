use prorch::prelude::*;

#[step]
async fn double(number: u64) -> StepResult<u64> {
    finish(number * 2)
}

#[pipeline(steps = [double])]
struct Doubling;

#[pipeline(steps = [run()])]
struct Nothing;

#[pipeline(steps = [run(Doubling, Doubling)])]
struct Two;

#[pipeline(steps = [run("Doubling")])]
struct Text;

#[pipeline(steps = [run(Doubling, concurrency = 8)])]
struct Option;

#[pipeline(steps = [run(each(Doubling))])]
struct EachInside;

fn main() {}
