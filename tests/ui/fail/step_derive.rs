use prorch::prelude::*;

#[step(derive(Default, Clone))]
struct Transfer;

fn main() {}
