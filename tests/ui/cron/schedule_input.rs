use prorch::prelude::*;

#[derive(serde::Serialize, serde::Deserialize)]
struct Request {
    table: String,
}

#[step]
async fn ask(request: &Request) -> StepResult<()> {
    let _ = request;
    finish(())
}

#[pipeline(steps = [ask], schedule = "0 3 * * *")]
struct Nightly;

fn main() {}
