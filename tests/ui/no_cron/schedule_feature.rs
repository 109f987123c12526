use prorch::prelude::*;

#[step]
async fn ask() -> StepResult<()> {
    finish(())
}

#[pipeline(steps = [ask], schedule = "0 3 * * *")]
struct Nightly;

fn main() {}
