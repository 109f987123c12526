//! Runs that are left as they are, and named with what differs.

use prorch::prelude::*;

use crate::bench::{Hold, a, b, c, replaced};

mod old {
    use super::*;

    #[pipeline(name = "is-left", steps = [a, Hold, b, c])]
    pub(crate) struct Photos;
}

#[tokio::test]
async fn a_step_that_is_to_come_is_gone() {
    #[pipeline(name = "is-left", steps = [a, Hold, c])]
    struct Photos;
    replaced::<old::Photos, Photos>(|end| {
        end.is_left(&["a"], &["the step `b` (stage 2 of its list)", "`aliases(\"b\" = TheNewName)`"]);
    })
    .await;
}

#[tokio::test]
async fn the_step_at_which_it_stands_is_gone() {
    #[pipeline(name = "is-left", steps = [a, b, c])]
    struct Photos;
    replaced::<old::Photos, Photos>(|end| end.is_left(&["a"], &["the step `Hold` (stage 1 of its list)"]))
        .await;
}

mod other_types {
    use super::*;

    #[step(name = "b")]
    pub(crate) async fn takes_text(text: String) -> StepResult<u64> {
        finish(text.len() as u64)
    }

    #[step]
    pub(crate) async fn to_text(number: u64) -> StepResult<String> {
        finish(number.to_string())
    }

    #[pipeline(name = "is-left", steps = [a, Hold, to_text, takes_text, c])]
    pub(crate) struct Photos;
}

#[tokio::test]
async fn a_step_takes_another_type() {
    replaced::<old::Photos, other_types::Photos>(|end| {
        end.is_left(&["a"], &["`b` gets a `u64` (stage 2)", "that is a `String` here", "version = "]);
    })
    .await;
}

#[tokio::test]
async fn a_step_is_for_each_item_now() {
    #[step]
    async fn some(number: u64) -> StepResult<Vec<u64>> {
        finish(vec![number])
    }

    #[pipeline(name = "is-left", steps = [a, Hold, some, each(b), last])]
    struct Photos;

    #[step(name = "c")]
    async fn last(numbers: Vec<u64>) -> StepResult<u64> {
        finish(numbers.len() as u64)
    }
    replaced::<old::Photos, Photos>(|end| end.is_left(&["a"], &["`b` (stage 2 of its list)", "`each(b)`"]))
        .await;
}

#[tokio::test]
async fn nobody_knows_the_name_of_the_pipeline() {
    #[pipeline(name = "is-called-otherwise", steps = [a, Hold, b, c])]
    struct Photos;
    replaced::<old::Photos, Photos>(|end| end.is_left(&["a"], &["no pipeline `is-left` is known here"]))
        .await;
}

#[tokio::test]
async fn a_step_that_is_not_there_is_in_nobodys_way_when_it_is_given_back() {
    #[pipeline(name = "is-left", steps = [a, Hold, c])]
    struct Photos;

    #[pipeline(name = "is-left", steps = [a, Hold, c, b])]
    struct GivenBack;
    crate::bench::on_each(async |scene| {
        let run = scene.begin::<old::Photos>(0).await;
        let end = scene.go_on(&scene.program::<Photos>(), run).await;
        end.is_left(&["a"], &["`b`"]);
        let end = scene.go_on(&scene.program::<GivenBack>(), run).await;
        end.finished("203", &["a", "Hold", "b", "c"]);
    })
    .await;
}
