use prorch::prelude::*;

#[step]
union Transfer {
    whole: u32,
    bytes: [u8; 4],
}

fn main() {}
