#![deny(warnings)]
#![forbid(unsafe_code)]

mod steps {
    #[prorch::step(at_most_once, on_uncertain = look_up, retry(max_attempts = 2))]
    pub async fn double(number: u64) -> prorch::StepResult<u64> {
        prorch::finish(number * 2)
    }

    async fn look_up(_: &u64, cx: &prorch::StepContext) -> prorch::StepResult<u64> {
        if cx.attempt() > 1 { prorch::start_again() } else { prorch::pending() }
    }

    #[prorch::step(at_most_once,)]
    pub fn blocks(number: u64) -> Result<u64, std::io::Error> {
        Ok(number)
    }

    #[prorch::step(at_most_once)]
    pub struct Pay;

    impl prorch::Step for Pay {
        type Input = u64;
        type Output = u64;

        async fn on_continue(&mut self, number: &u64, _: &prorch::StepContext) -> prorch::StepResult<u64> {
            prorch::finish(*number)
        }

        async fn on_uncertain(&mut self, _: &u64, _: &prorch::StepContext) -> prorch::StepResult<u64> {
            prorch::start_again()
        }
    }
}

#[prorch::pipeline(input = u64, output = u64, steps = [steps::double, steps::blocks, steps::Pay])]
pub struct Doubling;

fn main() {}
