use prorch::prelude::*;

#[step]
enum Transfer {
    Idle,
    Copying,
}

fn main() {}
