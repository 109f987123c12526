use prorch::prelude::*;

#[step]
struct Transfer<T> {
    state: T,
}

fn main() {}
