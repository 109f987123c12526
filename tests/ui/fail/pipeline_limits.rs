use prorch::prelude::*;

#[step]
async fn send(to: String) -> StepResult<()> {
    let _ = to;
    finish(())
}

#[pipeline(steps = [send], max_running = 0)]
struct None;

#[pipeline(steps = [send], max_calls = -1)]
struct Less;

#[pipeline(steps = [send], max_calls = 0)]
struct NoCalls;

#[pipeline(steps = [send], max_running = "3")]
struct Text;

#[pipeline(steps = [send], max_running(3, per = ""))]
struct PerNothing;

#[pipeline(steps = [send], max_running(3, per = tenant))]
struct PerPath;

#[pipeline(steps = [send], max_running(3, by = "tenant"))]
struct NoSuchOption;

#[pipeline(steps = [send], max_run = 3)]
struct NearlyRight;

fn main() {}
