use prorch::prelude::*;

async fn look_up(_: &u64, _: &StepContext) -> StepResult<u64> {
    start_again()
}

#[step(at_most_once = true)]
async fn with_a_value(number: u64) -> StepResult<u64> {
    finish(number)
}

#[step(at_most_once(on_uncertain = look_up))]
async fn with_parentheses(number: u64) -> StepResult<u64> {
    finish(number)
}

#[step(on_uncertain = look_up)]
async fn without_a_reason(number: u64) -> StepResult<u64> {
    finish(number)
}

#[step(at_most_once, on_uncertain)]
async fn without_a_path(number: u64) -> StepResult<u64> {
    finish(number)
}

#[step(at_most_once, on_uncertain = look_up)]
struct Pay;

impl Step for Pay {
    type Input = u64;
    type Output = u64;

    async fn on_start(&mut self, number: &u64, _: &StepContext) -> StepResult<u64> {
        finish(*number)
    }
}

fn main() {}
