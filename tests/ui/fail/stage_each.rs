use prorch::prelude::*;

#[step]
async fn double(number: u64) -> StepResult<u64> {
    finish(number * 2)
}

#[pipeline(steps = [each(double, concurrency = 0)])]
struct NoneAtATime;

#[pipeline(steps = [each(double, concurrency = 1001)])]
struct TooManyAtATime;

#[pipeline(steps = [each(double, concurrency = "8")])]
struct NoNumber;

#[pipeline(steps = [each(double, parallel = 8)])]
struct Unknown;

#[pipeline(steps = [each(double, concurrency = 8, concurrency = 9)])]
struct Twice;

#[pipeline(steps = [each()])]
struct Nothing;

#[pipeline(steps = [each(double, double)])]
struct Two;

#[pipeline(steps = [each(each(double))])]
struct Nested;

#[pipeline(steps = [each([double, double])])]
struct OfAGroup;

fn main() {}
