use prorch::prelude::*;

#[step]
async fn nothing(number: u64) {
    let _ = number;
}

#[step]
fn future(number: u64) -> impl Future<Output = StepResult<u64>> {
    async move { finish(number) }
}

#[step]
async fn reference(number: &u64) -> &'static str {
    if *number > 0 { "some" } else { "none" }
}

fn main() {}
