use prorch::prelude::*;

async fn look_up(_: &u64) -> StepResult<u64> {
    start_again()
}

#[step(at_most_once, on_uncertain = look_up)]
async fn double(number: u64) -> StepResult<u64> {
    finish(number * 2)
}

fn main() {}
