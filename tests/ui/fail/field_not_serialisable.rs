use prorch::prelude::*;

#[derive(Default)]
struct Connection;

#[step]
struct Transfer {
    connection: Connection,
}

fn main() {}
