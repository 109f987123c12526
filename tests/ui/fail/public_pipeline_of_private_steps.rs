use prorch::prelude::*;

#[step]
struct Transfer;

impl Step for Transfer {
    type Input = u64;
    type Output = u64;
}

#[pipeline(steps = [Transfer])]
pub struct Numbers;

fn main() {}
