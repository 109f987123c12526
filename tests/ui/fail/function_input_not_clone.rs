use prorch::prelude::*;

#[derive(serde::Serialize, serde::Deserialize)]
struct Request;

#[step]
async fn transfer(request: Request) -> StepResult<()> {
    drop(request);
    finish(())
}

fn main() {}
