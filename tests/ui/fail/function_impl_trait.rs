use prorch::prelude::*;

#[step]
async fn by_value(item: impl Into<String>) -> StepResult<String> {
    finish(item.into())
}

#[step]
async fn by_reference(item: &impl ToString) -> StepResult<String> {
    finish(item.to_string())
}

fn main() {}
