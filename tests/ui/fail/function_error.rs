use prorch::prelude::*;

struct MyError;

#[step]
async fn transfer(number: u64) -> Result<u64, MyError> {
    Ok(number)
}

fn main() {}
