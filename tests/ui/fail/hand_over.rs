use prorch::prelude::*;

mod steps {
    use super::*;

    #[step]
    pub(crate) async fn show(number: u64) -> StepResult<String> {
        finish(number.to_string())
    }

    #[step]
    pub(crate) async fn double(number: u64) -> StepResult<u64> {
        finish(number * 2)
    }
}

#[pipeline(steps = [steps::show, steps::double])]
struct Numbers;

fn main() {}
