use prorch::prelude::*;

#[step]
async fn text(item: &str) -> StepResult<String> {
    finish(item.to_owned())
}

#[step]
async fn list(items: &[u64]) -> StepResult<usize> {
    finish(items.len())
}

#[step]
async fn object(number: &u64, show: &(dyn Fn(u64) -> String + Send + Sync)) -> StepResult<String> {
    finish(show(*number))
}

fn main() {}
