use prorch::prelude::*;

use std::rc::Rc;

#[step]
async fn transfer(number: u64) -> StepResult<u64> {
    let shared = Rc::new(number);
    std::future::ready(()).await;
    finish(*shared)
}

fn main() {}
