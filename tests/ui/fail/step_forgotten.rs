use prorch::prelude::*;

struct Transfer;

impl Step for Transfer {
    type Input = u64;
    type Output = u64;
}

fn main() {}
