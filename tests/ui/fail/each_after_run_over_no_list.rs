use prorch::prelude::*;

#[step]
async fn double(number: u64) -> StepResult<u64> {
    finish(number * 2)
}

#[pipeline(steps = [double])]
struct Doubling;

#[pipeline(steps = [run(Doubling), each(double)])]
struct AfterARun;

fn main() {}
