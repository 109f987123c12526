use prorch::prelude::*;

fn is_worth_it(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::TimedOut
}

#[step(retry(if = is_worth_it))]
struct Transfer;

fn main() {}
