use prorch::prelude::*;

#[step]
async fn double(number: u64) -> StepResult<u64> {
    finish(number * 2)
}

#[pipeline(steps = [double])]
struct Inner;

#[pipeline(steps = [double], on_failure = undo)]
struct Word;

#[pipeline(steps = [double], on_cancel)]
struct NoWord;

#[pipeline(steps = [run(Inner, undone = double)], on_failure = compensate)]
struct Option;

#[pipeline(steps = [run(Inner, undo = "double")], on_failure = compensate)]
struct Text;

fn main() {}
