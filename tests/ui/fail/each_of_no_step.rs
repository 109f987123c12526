use prorch::prelude::*;

#[step]
async fn up_to(number: u64) -> StepResult<Vec<u64>> {
    finish((0..number).collect())
}

struct Forgotten;

#[pipeline(steps = [up_to, each(Forgotten)])]
struct OfAType;

#[pipeline(steps = [up_to, each(run(Forgotten))])]
struct OfARun;

fn main() {}
