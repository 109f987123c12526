use prorch::prelude::*;

#[step]
async fn double(number: u64) -> StepResult<u64> {
    finish(number * 2)
}

#[pipeline(steps = [double()])]
struct Call;

#[pipeline(steps = ["double"])]
struct Text;

fn main() {}
