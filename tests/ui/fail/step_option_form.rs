use prorch::prelude::*;

#[step(timeout = 30)]
struct Seconds;

#[step(timeout("30s"))]
struct Parentheses;

#[step(retry = 5)]
struct Retry;

#[step(poll = "1s" timeout = "2s")]
struct NoComma;

#[step("transfer")]
struct NoName;

fn main() {}
