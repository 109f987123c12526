//! What the tests of schedules have in common.

use std::time::Duration;

use prorch::prelude::*;
use prorch::repository::{Filter, Repository, Run, Timestamp};
use prorch_testkit::ManualClock;

#[step]
pub(crate) async fn note(number: u32) -> StepResult<u32> {
    finish(number)
}

#[pipeline(steps = [note])]
pub(crate) struct Note;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
/// So that what a dead worker held is taken over in the next pass.
pub(crate) const LONGER_THAN_A_LEASE: Duration = Duration::from_secs(31);

/// An orchestrator that knows [`Note`].
pub(crate) fn orchestrator(repository: impl Repository, clock: &ManualClock) -> Orchestrator {
    Orchestrator::builder(repository).clock(clock.clone()).pipeline::<Note>().build().unwrap()
}

/// The time that is written like this: `2026-03-29T01:00:00Z`.
pub(crate) fn time(text: &str) -> Timestamp {
    let number = |from: usize, to: usize| text[from..to].parse::<i64>().unwrap();
    let days = crate::year::days(number(0, 4), number(5, 7), number(8, 10));
    let seconds = days * 86_400 + number(11, 13) * 3_600 + number(14, 16) * 60 + number(17, 19);
    Timestamp::from_micros(seconds * 1_000_000)
}

/// The runs that the schedule with this name has started.
pub(crate) async fn runs(orchestrator: &Orchestrator, schedule: &str) -> Vec<Run> {
    let filter = Filter::all().pipeline(Note::NAME).metadata("schedule", schedule).limit(100_000);
    orchestrator.search(&filter).await.unwrap().runs
}

/// The ticks that have started a run, as they stand in its key, sorted.
pub(crate) async fn ticks(orchestrator: &Orchestrator, schedule: &str) -> Vec<String> {
    let runs = runs(orchestrator, schedule).await;
    let tick = |run: &Run| run.key.as_ref().unwrap().rsplit_once('@').unwrap().1.to_owned();
    let mut ticks: Vec<String> = runs.iter().map(tick).collect();
    ticks.sort();
    ticks
}
