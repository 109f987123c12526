use prorch::prelude::*;

#[step(timeout = "30")]
struct NoUnit;

#[step(deadline = "1 week")]
struct Week;

#[step(poll = "0s")]
struct Zero;

fn main() {}
