use prorch::prelude::*;

struct Request;

#[step]
async fn send(request: &Request) -> StepResult<()> {
    let _ = request;
    finish(())
}

#[pipeline(steps = [send])]
struct Mail;

fn main() {}
