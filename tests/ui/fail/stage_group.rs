use prorch::prelude::*;

#[step]
async fn double(number: u64) -> StepResult<u64> {
    finish(number * 2)
}

#[pipeline(steps = [[double]])]
struct Alone;

#[pipeline(steps = [[]])]
struct Empty;

#[pipeline(steps = [[double, double, double, double, double, double, double, double, double]])]
struct TooMany;

#[pipeline(steps = [[double, [double, double]]])]
struct Nested;

#[pipeline(steps = [[double, each(double)]])]
struct Spread;

fn main() {}
