use prorch::prelude::*;

#[step(rate = "ten/s")]
struct NoNumber;

#[step(rate = "0/s")]
struct Never;

#[step(rate = "10/fortnight")]
struct NoUnit;

#[step(rate = 10)]
struct NoText;

#[step(rate("10/s", burst = 0))]
struct NoBurst;

#[step(rate("10/s", bursts = 5))]
struct NoSuchOption;

fn main() {}
