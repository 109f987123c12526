use prorch::prelude::*;

#[step]
async fn double(number: u64) -> StepResult<u64> {
    finish(number * 2)
}

#[pipeline(steps = [double])]
struct Fields {
    number: u64,
}

#[pipeline(steps = [double])]
struct Tuple(u64);

#[pipeline(steps = [double])]
enum Enum {}

#[pipeline(steps = [double])]
struct Generic<const N: usize>;

#[pipeline(steps = [double])]
fn function() {}

fn main() {}
