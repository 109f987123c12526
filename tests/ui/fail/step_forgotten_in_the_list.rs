use prorch::prelude::*;

#[step]
async fn double(number: u64) -> StepResult<u64> {
    finish(number * 2)
}

struct Transfer;

#[pipeline(steps = [double, Transfer])]
struct Numbers;

fn main() {}
