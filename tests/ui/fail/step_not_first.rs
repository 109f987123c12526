use prorch::prelude::*;

#[derive(Default)]
#[step]
struct Transfer;

fn main() {}
