use prorch::prelude::*;

#[step(retry(max_attempts = 0))]
struct Never;

#[step(retry(backoff = "1s"))]
struct NoRange;

#[step(retry(backoff = "1m..1s"))]
struct Backwards;

#[step(retry(backoff = "1s..soon"))]
struct NoDuration;

fn main() {}
