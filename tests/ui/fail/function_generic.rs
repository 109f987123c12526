use prorch::prelude::*;

#[step]
async fn transfer<T: Send>(item: T) -> StepResult<()> {
    drop(item);
    finish(())
}

fn main() {}
