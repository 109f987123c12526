use prorch::prelude::*;

#[step(poll = "1s", poll = "2s")]
struct Transfer;

fn main() {}
