//! Runs that go on by the list that they were started with.

use prorch::prelude::*;

use crate::bench::{Hold, LATER, World, a, b, c, d, on_each, renamed, replaced};

mod old {
    use super::*;

    #[pipeline(name = "goes-on", steps = [a, Hold, c])]
    pub(crate) struct Photos;
}

#[tokio::test]
async fn a_step_that_was_put_in_is_passed_over() {
    #[pipeline(name = "goes-on", steps = [a, Hold, b, c])]
    struct Photos;
    replaced::<old::Photos, Photos>(|end| end.finished("202", &["a", "Hold", "c"])).await;
}

#[tokio::test]
async fn a_step_that_was_put_in_before_and_behind_changes_nothing() {
    #[pipeline(name = "goes-on", steps = [b, a, Hold, c, d])]
    struct Photos;
    replaced::<old::Photos, Photos>(|end| end.finished("202", &["a", "Hold", "c"])).await;
}

#[tokio::test]
async fn a_step_that_has_finished_may_be_gone() {
    #[pipeline(name = "goes-on", steps = [Hold, c])]
    struct Photos;
    replaced::<old::Photos, Photos>(|end| end.finished("202", &["a", "Hold", "c"])).await;
}

#[tokio::test]
async fn a_step_that_was_renamed_goes_on_under_its_old_name() {
    #[pipeline(name = "goes-on", aliases("c" = renamed), steps = [a, Hold, renamed])]
    struct Photos;
    replaced::<old::Photos, Photos>(|end| {
        // The name of its record, and the idempotency key with it, is the one that the run was started with.
        end.finished("202", &["a", "Hold", "renamed as c"]);
        let names: Vec<&str> = end.stored.records.values().map(|record| &*record.name).collect();
        assert_eq!(names, ["a", "Hold", "c"]);
    })
    .await;
}

/// [`Hold`] under another name: its state is read as it was stored.
#[step(poll = "1s", resources(World))]
struct Gate {
    asked: u64,
}

impl Step for Gate {
    type Input = u64;
    type Output = u64;

    async fn on_continue(&mut self, number: &u64, cx: &StepContext) -> StepResult<u64> {
        cx.resource::<World>()?.note("Gate", cx);
        finish(number + if self.asked > 0 { 1_000 } else { 0 })
    }
}

/// Tells what the step before handed on that has another name now.
#[step]
async fn asks(number: u64, cx: &StepContext) -> StepResult<u64> {
    finish(number + cx.output::<Gate>().await?)
}

#[tokio::test]
async fn a_step_that_is_renamed_while_it_waits_keeps_its_state_and_its_output_is_found() {
    #[pipeline(name = "goes-on", aliases("Hold" = Gate, "c" = asks), steps = [a, Gate, asks])]
    struct Photos;
    replaced::<old::Photos, Photos>(|end| end.finished("2002", &["a", "Gate as Hold"])).await;
}

#[tokio::test]
async fn a_program_that_is_put_back_goes_on_with_what_the_new_one_took() {
    #[pipeline(name = "goes-on", steps = [a, Hold, b, c])]
    struct Photos;
    on_each(async |scene| {
        let old = scene.program::<old::Photos>();
        let run = scene.begin::<old::Photos>(0).await;
        let started_with = old.get(run).await.unwrap().unwrap().run.definition;
        scene.world.close();
        let end = scene.go_on(&scene.program::<Photos>(), run).await;
        let adopted = end.stored.run.definition;
        assert_ne!(adopted, started_with, "the new program has taken it");
        assert_eq!(adopted.list, started_with.list, "with the list that it was started with");
        scene.world.open();
        let end = scene.go_on(&scene.program::<old::Photos>(), run).await;
        end.finished("202", &["a", "Hold", "c"]);
        assert_eq!(end.stored.run.definition, started_with);
    })
    .await;
}

#[tokio::test]
async fn a_new_program_that_is_started_again_knows_the_runs_that_it_took() {
    #[pipeline(name = "goes-on", steps = [a, Hold, b, c])]
    struct Photos;
    on_each(async |scene| {
        let run = scene.begin::<old::Photos>(0).await;
        scene.world.close();
        let taken = scene.go_on(&scene.program::<Photos>(), run).await;
        scene.world.open();
        // The next pass of another process of the same program: the run is due, and not for long.
        let again = scene.program::<Photos>();
        scene.clock.advance(std::time::Duration::from_secs(1));
        let report = again.execute_pipelines().await.unwrap();
        assert_eq!((report.claimed, report.finished), (1, 1), "{report:?}");
        let epochs = again.get(run).await.unwrap().unwrap().run.epoch.0 - taken.stored.run.epoch.0;
        assert_eq!(epochs, 1, "it is claimed, and not taken a second time");
    })
    .await;
}

#[tokio::test]
async fn a_run_that_is_due_for_a_moment_is_left_to_its_own_program() {
    #[pipeline(name = "goes-on", steps = [a, Hold, b, c])]
    struct Photos;
    on_each(async |scene| {
        let run = scene.begin::<old::Photos>(0).await;
        let new = scene.program::<Photos>();
        scene.clock.advance(std::time::Duration::from_secs(3));
        let report = new.execute_pipelines().await.unwrap();
        assert_eq!(report.claimed, 0);
        let [left] = &report.left[..] else { panic!("{report:?}") };
        assert!(left.id == run && left.why.contains("goes on here by that list when"), "{left:?}");
        scene.clock.advance(LATER);
        assert_eq!(new.execute_pipelines().await.unwrap().finished, 1);
    })
    .await;
}

#[tokio::test]
async fn a_run_that_ended_is_restarted_by_the_list_that_it_was_started_with() {
    #[pipeline(name = "goes-on", steps = [b, a, Hold, c])]
    struct Photos;
    on_each(async |scene| {
        let run = scene.begin::<old::Photos>(0).await;
        let new = scene.program::<Photos>();
        new.cancel(run, "by the old program").await.unwrap();
        let restarted = new.restart(run).from("Hold").await.unwrap();
        scene.go_on(&new, restarted.id()).await.finished("202", &["a", "Hold", "c"]);
    })
    .await;
}

#[tokio::test]
async fn a_run_is_not_restarted_from_a_step_that_is_gone() {
    #[pipeline(name = "goes-on", steps = [Hold, c])]
    struct Photos;
    on_each(async |scene| {
        let run = scene.begin::<old::Photos>(0).await;
        scene.world.close();
        let new = scene.program::<Photos>();
        scene.go_on(&new, run).await;
        new.cancel(run, "enough").await.unwrap();
        let adopted = new.restart(run).from("a").await.unwrap_err().to_string();
        let unknown = scene.program::<Photos>().restart(run).from("a").await.unwrap_err().to_string();
        for error in [adopted, unknown] {
            assert!(error.contains("`a` (stage 0 of its list)"), "{error}");
        }
        let restarted = new.restart(run).from("Hold").await.unwrap();
        scene.world.open();
        scene.go_on(&new, restarted.id()).await.finished("202", &["a", "Hold", "c"]);
    })
    .await;
}
