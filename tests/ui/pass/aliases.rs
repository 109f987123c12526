use prorch::prelude::*;

mod steps {
    use prorch::prelude::*;

    #[step]
    pub async fn double(number: u64) -> StepResult<u64> {
        finish(number * 2)
    }
}

#[pipeline(version = 2, steps = [steps::double], aliases("Twice" = steps::double, "TwoTimes" = steps::double,))]
struct Child;

#[pipeline(steps = [steps::double, run(Child)], aliases("OldChild" = Child), version = 1)]
struct Parent;

fn main() {
    let _ = (Child, Parent);
}
