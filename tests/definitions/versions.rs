//! Versions of a pipeline.

use prorch::prelude::*;
use prorch::repository::Status;

use crate::bench::{Hold, a, b, on_each, replaced};

mod first {
    use super::*;

    #[pipeline(name = "versions", steps = [a, Hold, b])]
    pub(crate) struct Photos;
}

mod second {
    use super::*;

    #[pipeline(name = "versions", version = 2, steps = [a, Hold, b])]
    pub(crate) struct Photos;
}

#[tokio::test]
async fn a_run_of_another_version_is_left_and_named_with_both() {
    replaced::<first::Photos, second::Photos>(|end| {
        end.is_left(&["a"], &["of version 1 of the pipeline `versions`", "here is version 2", "version = 1"]);
    })
    .await;
    replaced::<second::Photos, first::Photos>(|end| {
        end.is_left(&["a"], &["of version 2 of the pipeline `versions`", "here is version 1", "version = 2"]);
    })
    .await;
}

#[tokio::test]
async fn a_program_finishes_old_runs_beside_new_ones() {
    on_each(async |scene| {
        let run = scene.begin::<first::Photos>(0).await;
        let both = scene.builder().pipeline::<second::Photos>().pipeline::<first::Photos>().build().unwrap();
        let new = both.start::<second::Photos>(10).await.unwrap().id();
        let end = scene.go_on(&both, run).await;
        assert_eq!(end.stored.run.state.output.as_deref(), Some("202"));
        let new = both.get(new).await.unwrap().unwrap();
        assert_eq!(new.run.status(), Status::Finished);
        assert_ne!(new.run.definition, end.stored.run.definition);
        assert_eq!(end.calls.iter().filter(|call| *call == "a").count(), 2);
    })
    .await;
}

#[tokio::test]
async fn the_first_version_need_not_be_said() {
    #[pipeline(name = "versions", version = 1, steps = [a, Hold, b])]
    struct Photos;
    replaced::<first::Photos, Photos>(|end| end.finished("202", &["a", "Hold", "b"])).await;
}

#[test]
fn two_lists_of_one_version_are_a_mistake() {
    #[pipeline(name = "versions", steps = [a, b])]
    struct Other;
    let scene = crate::bench::Scene::new(prorch::repository::MemoryRepository::new());
    let built = scene.builder().pipeline::<first::Photos>().pipeline::<Other>().build();
    assert!(built.is_err_and(|error| error.to_string().contains("two pipelines are called `versions`")));
}
