use prorch::prelude::*;

#[step]
async fn changed(number: &mut u64) -> StepResult<u64> {
    finish(*number)
}

#[step]
async fn resource(number: u64, client: String) -> StepResult<usize> {
    finish(client.len() + number as usize)
}

fn main() {}
