//! What `#[step]` and `#[pipeline]` make of what stands below them.
#![forbid(unsafe_code)]

use prorch::prelude::*;

#[step(retry(max_attempts = 3, backoff = "1s..1m"), timeout = "30s", poll = "2s")]
struct A {
    n: u64,
}
impl Step for A {
    type Input = u64;
    type Output = String;
    async fn on_start(&mut self, _: &u64, _: &StepContext) -> StepResult<String> {
        self.n += 1;
        finish(String::new())
    }
}

#[step]
async fn b(text: String, cx: &StepContext) -> Result<u64, std::io::Error> {
    let _ = cx;
    Ok(text.len() as u64)
}

#[step]
fn c(cx: &StepContext, n: &u64, s: &String) -> StepResult<u64> {
    let _ = (cx, s);
    finish(*n)
}

#[pipeline(steps = [A, b, c, c])]
struct P;

#[test]
fn works() {
    let d = P::definition();
    assert_eq!(d.step_names(), ["A", "b", "c", "c#2"]);
    println!("{:?} {:?}", prorch::steps(), prorch::pipelines());
    assert_eq!(prorch::pipelines().len(), 1);
}
