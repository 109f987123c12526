use prorch::prelude::*;

async fn take_back(_: &u64, _: &StepContext) -> StepResult<()> {
    finish(())
}

#[step(compensate = take_back)]
async fn double(number: u64) -> StepResult<u64> {
    finish(number * 2)
}

fn main() {}
