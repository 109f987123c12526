use prorch::prelude::*;

#[step]
async fn double(number: u64) -> StepResult<u64> {
    finish(number * 2)
}

#[step]
async fn halve(number: u64) -> StepResult<u64> {
    finish(number / 2)
}

#[pipeline(aliases("Twice" = halve), steps = [double])]
struct NotInTheList;

#[pipeline(aliases("Twice" = double, "Twice" = halve), steps = [double, halve])]
struct OneNameForTwo;

#[pipeline(aliases("" = double), steps = [double])]
struct NoName;

#[pipeline(aliases("Twice#2" = double), steps = [double])]
struct Numbered;

#[pipeline(aliases(Twice = double), steps = [double])]
struct NotInQuotes;

#[pipeline(aliases = ["Twice", double], steps = [double])]
struct AnotherForm;

fn main() {}
