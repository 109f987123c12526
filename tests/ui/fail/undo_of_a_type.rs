use prorch::prelude::*;

async fn take_back(_: &u64, _: Option<&u64>, _: &StepContext) -> StepResult<()> {
    finish(())
}

#[step(compensate = take_back)]
struct Double;

impl Step for Double {
    type Input = u64;
    type Output = u64;

    async fn on_start(&mut self, number: &u64, _: &StepContext) -> StepResult<u64> {
        finish(number * 2)
    }
}

fn main() {}
