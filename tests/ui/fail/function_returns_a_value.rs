use prorch::prelude::*;

#[step]
async fn value(number: u64) -> u64 {
    number
}

fn main() {}
