use prorch::prelude::*;

struct Receipt;

#[step]
async fn send(number: u64) -> StepResult<Receipt> {
    let _ = number;
    finish(Receipt)
}

#[step]
async fn file(receipt: &Receipt) -> StepResult<()> {
    let _ = receipt;
    finish(())
}

#[pipeline(steps = [send, file])]
struct Mail;

#[pipeline(steps = [send])]
struct Short;

fn main() {}
