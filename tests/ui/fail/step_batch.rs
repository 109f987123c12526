use prorch::prelude::*;

#[step(batch(max = 1))]
struct One;

#[step(batch(gather = "now"))]
struct NoDuration;

#[step(batch = 500)]
struct NoList;

#[step(batch(size = 500))]
struct NoSuchOption;

#[step(batch(max = 500))]
async fn poll(job: u64) -> StepResult<u64> {
    finish(job)
}

fn main() {}
