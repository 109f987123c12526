use prorch::prelude::*;

#[step]
async fn ask() -> StepResult<()> {
    finish(())
}

#[pipeline(steps = [ask], schedule = "0 3 * * *", missed = "latest")]
struct Quoted;

#[pipeline(steps = [ask], schedule = "0 3 * * *", missed = all(0))]
struct None;

#[pipeline(steps = [ask], schedule = "0 3 * * *", missed = all(3), overlap = skip)]
struct SideBySide;

#[pipeline(steps = [ask], schedule = "0 3 * * *", overlap = false)]
struct Flag;

fn main() {}
