use prorch::prelude::*;

#[step(timout = "30s")]
struct Transfer;

#[step(speed = "high")]
struct Notify;

#[step(retry(attempts = 5))]
struct Backup;

impl Step for Transfer {
    type Input = u64;
    type Output = u64;
}

impl Step for Notify {
    type Input = u64;
    type Output = u64;
}

impl Step for Backup {
    type Input = u64;
    type Output = u64;
}

#[pipeline(steps = [Transfer, Notify, Backup])]
struct Automation;

fn main() {}
