use prorch::prelude::*;

#[step]
async fn double(number: u64) -> StepResult<u64> {
    finish(number * 2)
}

#[step]
async fn words(text: String) -> StepResult<Vec<String>> {
    finish(text.split(' ').map(str::to_owned).collect())
}

#[pipeline(steps = [words, each(double)])]
struct Numbers;

fn main() {}
