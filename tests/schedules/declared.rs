//! Schedules that pipelines are declared with.

use std::time::Duration;

use prorch::prelude::*;
use prorch::repository::{Filter, MemoryRepository, Run};
use prorch::{Missed, Pipeline, Schedule};
use prorch_testkit::ManualClock;

use crate::bench::{HOUR, note, time};

mod first {
    use super::*;

    #[pipeline(name = "report", steps = [note], schedule = "0 3 * * *", timezone = "Europe/Madrid", schedule_input = 7)]
    pub(super) struct Report;
}

mod second {
    use super::*;

    #[pipeline(
        name = "report",
        steps = [note],
        schedule = "0 * * * * *",
        missed = all(3),
    )]
    pub(super) struct Report;
}

mod third {
    use super::*;

    #[pipeline(name = "report", version = 2, steps = [note], schedule = "30 3 * * *", missed = skip, overlap = skip)]
    pub(super) struct Report;
}

mod gone {
    use super::*;

    #[pipeline(name = "report", steps = [note])]
    pub(super) struct Report;
}

mod nowhere {
    use super::*;

    #[pipeline(steps = [note], schedule = "0 3 * * *", timezone = "Middle/Earth")]
    pub(super) struct Nowhere;

    #[pipeline(steps = [note], schedule = "0 3 31 2 *")]
    pub(super) struct Never;
}

struct Scene {
    repository: MemoryRepository,
    clock: ManualClock,
}

impl Scene {
    fn new() -> Self {
        Self { repository: MemoryRepository::new(), clock: ManualClock::default() }
    }

    fn builder(&self) -> prorch::OrchestratorBuilder {
        Orchestrator::builder(self.repository.clone()).clock(self.clock.clone())
    }

    /// A program with this pipeline, in which a worker has started.
    async fn started<P: Pipeline>(&self) -> Orchestrator {
        let orchestrator = self.builder().pipeline::<P>().build().unwrap();
        orchestrator.execute_pipelines().await.unwrap();
        orchestrator
    }
}

async fn only(orchestrator: &Orchestrator) -> Schedule {
    let mut schedules = orchestrator.schedules().await.unwrap();
    assert_eq!(schedules.len(), 1, "{schedules:#?}");
    schedules.remove(0)
}

async fn runs(orchestrator: &Orchestrator) -> Vec<Run> {
    orchestrator.search(&Filter::all().pipeline("report")).await.unwrap().runs
}

#[tokio::test]
async fn a_schedule_is_there_when_a_worker_has_started_and_its_runs_get_the_input_that_is_said() {
    let scene = Scene::new();
    let program = scene.started::<first::Report>().await;
    let schedule = only(&program).await;
    assert_eq!((schedule.name.as_str(), schedule.cron.as_str()), ("report", "0 3 * * *"));
    assert!(schedule.is_declared);
    assert_eq!(schedule.next, Some(time("2026-01-01T02:00:00Z")), "at three in Madrid");
    scene.clock.advance(2 * HOUR);
    program.execute_pipelines().await.unwrap();
    assert_eq!(&*runs(&program).await[0].input, "7");
    // Another worker finds it there.
    let run = only(&scene.started::<first::Report>().await).await.run;
    assert_eq!(run, schedule.run);
}

#[tokio::test]
async fn a_worker_makes_it_too_and_does_not_wait_for_a_pass() {
    let scene = Scene::new();
    let program = scene.builder().pipeline::<first::Report>().build().unwrap();
    let listed = async {
        while program.schedules().await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    program.run_until(listed).await.unwrap();
    assert_eq!(only(&program).await.name, "report");
}

#[tokio::test]
async fn a_declaration_that_changed_changes_it_and_what_is_said_at_run_time_stays_until_then() {
    let scene = Scene::new();
    let before = scene.started::<first::Report>().await;
    let run = only(&before).await.run;
    before.schedule::<first::Report>("report", "0 4 * * *", 8).await.unwrap();
    let restarted = scene.started::<first::Report>().await;
    assert_eq!(only(&restarted).await.cron, "0 4 * * *", "the declaration is the same");
    let after = scene.started::<second::Report>().await;
    let changed = only(&after).await;
    assert_eq!((changed.run, changed.cron.as_str(), changed.missed), (run, "0 * * * * *", Missed::All(3)));
    assert_eq!(changed.timezone, "UTC");
    scene.clock.advance(Duration::from_secs(60));
    after.execute_pipelines().await.unwrap();
    assert_eq!(&*runs(&after).await[0].input, "0", "the default of its type");
}

#[tokio::test]
async fn of_several_versions_the_latest_counts() {
    let scene = Scene::new();
    let builder = scene.builder().pipeline::<third::Report>().pipeline::<first::Report>();
    let program = builder.build().unwrap();
    program.execute_pipelines().await.unwrap();
    let schedule = only(&program).await;
    assert_eq!((schedule.cron.as_str(), schedule.missed), ("30 3 * * *", Missed::Skip));
    scene.clock.advance(3 * HOUR + HOUR / 2);
    program.execute_pipelines().await.unwrap();
    assert_eq!(runs(&program).await[0].definition, third::Report::definition().key());
}

#[tokio::test]
async fn one_whose_declaration_is_gone_goes_on_until_it_is_deleted() {
    let scene = Scene::new();
    scene.started::<first::Report>().await;
    let after = scene.started::<gone::Report>().await;
    scene.clock.advance(2 * HOUR);
    after.execute_pipelines().await.unwrap();
    assert_eq!(runs(&after).await.len(), 1);
    after.delete_schedule("report").await.unwrap();
    scene.clock.advance(24 * HOUR);
    after.execute_pipelines().await.unwrap();
    assert_eq!(runs(&after).await.len(), 1);
    let again = scene.started::<first::Report>().await;
    assert_eq!(only(&again).await.last, None, "one that is declared is made again");
}

#[tokio::test]
async fn a_schedule_is_not_restarted_but_made_again() {
    let scene = Scene::new();
    let program = scene.started::<first::Report>().await;
    let run = only(&program).await.run;
    program.delete_schedule("report").await.unwrap();
    let refused = program.restart(run).await.unwrap_err().to_string();
    assert!(refused.contains("it is a schedule: make it again under its name"), "{refused}");
}

#[tokio::test]
async fn a_declaration_that_makes_no_sense_is_told_where_the_orchestrator_is_built() {
    let scene = Scene::new();
    let zone = scene.builder().pipeline::<nowhere::Nowhere>().build().unwrap_err().to_string();
    assert!(zone.contains("the schedule `Nowhere`: there is no time zone `Middle/Earth`"), "{zone}");
    let never = scene.builder().pipeline::<nowhere::Never>().build().unwrap_err().to_string();
    assert!(never.contains("the schedule `Never`: `0 3 31 2 *` never fires"), "{never}");
}
