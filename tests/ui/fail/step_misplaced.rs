use prorch::prelude::*;

#[step]
struct Transfer;

#[step]
impl Step for Transfer {
    type Input = u64;
    type Output = u64;
}

#[step]
mod steps {}

fn main() {}
