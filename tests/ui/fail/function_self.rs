use prorch::prelude::*;

struct Transfer;

impl Transfer {
    #[step]
    async fn run(&self, number: u64) -> StepResult<u64> {
        finish(number)
    }
}

fn main() {}
