//! All that may be said about limits.

use prorch::prelude::*;

#[step(rate = "10/s")]
async fn send(to: String) -> StepResult<()> {
    let _ = to;
    finish(())
}

#[step(rate("100/m", burst = 5), timeout = "1s")]
#[derive(Debug)]
struct Ask;

impl Step for Ask {
    type Input = ();
    type Output = ();

    async fn on_start(&mut self, _: &(), _: &StepContext) -> StepResult<()> {
        finish(())
    }
}

#[pipeline(steps = [send, Ask], max_running = 3, max_calls(8, per = "tenant"))]
struct Mail;

#[pipeline(steps = [each(run(Mail))], max_running(3, per = "tenant"), max_calls = 1_000)]
struct Letters;

fn main() {
    let _ = (Mail, Letters);
}
