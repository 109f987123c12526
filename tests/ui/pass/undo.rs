use prorch::prelude::*;

// Words of the grammar are also names.
#[step]
async fn nothing(_: u64) -> StepResult<()> {
    finish(())
}

#[step(compensate = steps::take_back)]
fn split(number: u64) -> Result<Vec<u64>, String> {
    Ok(vec![number])
}

mod steps {
    use prorch::prelude::*;

    pub async fn take_back(_: &u64, _: Option<&Vec<u64>>, _: &StepContext) -> StepResult<()> {
        finish(())
    }

    /// Takes what turns into it.
    #[step]
    pub async fn ignore() -> StepResult<()> {
        finish(())
    }
}

/// An output that is not `Sync` can be undone where nobody holds it.
#[step]
async fn keep(number: u64) -> StepResult<std::cell::Cell<u64>> {
    finish(std::cell::Cell::new(number))
}

#[step]
async fn done(_: Vec<u64>) -> StepResult<u64> {
    finish(1)
}

#[pipeline(steps = [split], on_failure = compensate)]
struct Inner;

#[pipeline(steps = [done])]
struct Last;

#[step]
async fn fetch((numbers, sum): (Vec<u64>, Option<u64>)) -> StepResult<()> {
    finish(drop((numbers, sum)))
}

#[pipeline(
    steps = [split, each(run(Inner, undo = steps::ignore), concurrency = 2), flatten, [run(Last, undo = fetch), done]],
    on_failure = compensate,
    on_cancel = compensate
)]
struct Outer;

#[step]
async fn flatten(numbers: Vec<Vec<u64>>) -> StepResult<Vec<u64>> {
    finish(numbers.into_iter().flatten().collect())
}

#[pipeline(steps = [keep], on_failure = compensate)]
struct Kept;

fn main() {
    let _ = (Outer, Kept, nothing {});
}
