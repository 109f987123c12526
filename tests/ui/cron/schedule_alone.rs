use prorch::prelude::*;

#[step]
async fn ask() -> StepResult<()> {
    finish(())
}

#[pipeline(steps = [ask], timezone = "Europe/Madrid")]
struct WithoutSchedule;

fn main() {}
