//! Every form of a stage, in every place.
#![deny(warnings)]

use prorch::prelude::*;

#[step]
async fn up_to(number: u64) -> StepResult<Vec<u64>> {
    finish((0..number).collect())
}

#[step]
async fn double(number: u64) -> StepResult<u64> {
    finish(number * 2)
}

#[step]
async fn show(number: u64) -> StepResult<String> {
    finish(number.to_string())
}

#[step]
async fn pair((number, text): (u64, String)) -> StepResult<u64> {
    finish(number + text.len() as u64)
}

#[step]
async fn sum(numbers: Vec<u64>) -> StepResult<u64> {
    finish(numbers.iter().sum())
}

/// What the items turn into.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Number(u64);

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

#[step]
async fn unwrap(Number(number): Number) -> StepResult<u64> {
    finish(number)
}

/// A group at the beginning, in the middle and at the end; seven and eight members.
#[pipeline(steps = [[double, show], pair, [double, double, double, double, double, double, double, show]])]
struct Groups;

/// Its input is said, and turns into what each member takes.
#[pipeline(input = u32, output = (u64, u64), steps = [[double, double]])]
struct Stated;

/// A list at the beginning, in the middle and at the end; one after the other; each item turns into what is taken.
#[pipeline(steps = [each(double), each(unwrap, concurrency = 1000), sum, up_to, each(double, concurrency = 1,)])]
struct Lists;

/// A pipeline that begins with one, whose list is said.
#[pipeline(input = Vec<u64>, output = Vec<u64>, steps = [each(double)])]
struct StatedList;

#[pipeline(steps = [up_to])]
struct Numbers;

/// Its own output turns into another list.
#[pipeline(output = Wrapped, steps = [up_to])]
struct Converted;

/// What the list turns into.
#[derive(serde::Serialize, serde::Deserialize)]
struct Wrapped(Vec<u64>);

impl From<Vec<u64>> for Wrapped {
    fn from(numbers: Vec<u64>) -> Self {
        Self(numbers)
    }
}

impl From<Wrapped> for Vec<u64> {
    fn from(wrapped: Wrapped) -> Self {
        wrapped.0
    }
}

#[pipeline(steps = [double])]
struct Doubling;

/// Others as steps: alone, in a group, for each item; a list goes on from one.
#[pipeline(steps = [run(Numbers), each(run(Doubling)), sum, [run(Doubling), run(Doubling)], run(Adding)])]
struct Runs;

#[step]
async fn add((a, b): (u64, u64)) -> StepResult<u64> {
    finish(a + b)
}

#[pipeline(steps = [add])]
struct Adding;

/// What a run ends with goes on as what it turned into.
#[pipeline(steps = [run(Converted), sum])]
struct AfterConverted;

/// A pipeline may run itself.
#[pipeline(steps = [up_to, each(run(Recursive)), count])]
struct Recursive;

#[step]
async fn count(below: Vec<u64>) -> StepResult<u64> {
    finish(below.iter().sum::<u64>() + 1)
}

/// Names of one's own do not clash with the words.
mod own {
    use super::*;

    #[step]
    pub async fn each(number: u64) -> StepResult<u64> {
        finish(number)
    }

    #[step]
    pub async fn run(number: u64) -> StepResult<u64> {
        finish(number)
    }
}

use own::{each, run};

#[pipeline(steps = [each, run, [each, run], run(Adding), up_to, each(run), each(each)])]
struct Names;

fn main() {}
