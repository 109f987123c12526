use prorch::prelude::*;

#[step]
async fn double(number: u64) -> StepResult<u64> {
    finish(number * 2)
}

#[pipeline(input = String, steps = [double])]
struct OtherInput;

#[pipeline(output = String, steps = [double])]
struct OtherOutput;

fn main() {}
