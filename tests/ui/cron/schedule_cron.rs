use prorch::prelude::*;

#[step]
async fn ask() -> StepResult<()> {
    finish(())
}

#[pipeline(steps = [ask], schedule = "0 3 * *")]
struct FourFields;

#[pipeline(steps = [ask], schedule = "@daily")]
struct Nickname;

#[pipeline(steps = [ask], schedule = 3)]
struct NoText;

fn main() {}
