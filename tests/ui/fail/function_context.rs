use prorch::prelude::*;

#[step]
async fn by_value(number: u64, cx: StepContext) -> StepResult<u64> {
    let _ = cx;
    finish(number)
}

#[step]
async fn twice(number: u64, cx: &StepContext, again: &StepContext) -> StepResult<u64> {
    let _ = (cx, again);
    finish(number)
}

fn main() {}
