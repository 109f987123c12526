use prorch::prelude::*;

#[step]
async fn double(number: u64) -> StepResult<u64> {
    finish(number * 2)
}

#[pipeline(version = 0, steps = [double])]
struct Nought;

#[pipeline(version = 4294967296, steps = [double])]
struct Huge;

#[pipeline(version = "2", steps = [double])]
struct Text;

fn main() {}
