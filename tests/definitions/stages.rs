//! Groups, lists and runs of other pipelines.

use prorch::prelude::*;

use crate::bench::{Hold, World, a, b, c, on_each, replaced};

#[step]
pub(crate) async fn sum((left, right): (u64, u64)) -> StepResult<u64> {
    finish(left + right)
}

#[step]
pub(crate) async fn count(number: u64) -> StepResult<Vec<u64>> {
    finish((number..number + 3).collect())
}

#[step]
pub(crate) async fn total(numbers: Vec<u64>) -> StepResult<u64> {
    finish(numbers.iter().sum())
}

/// Waits at the gate with the second item; the others are done at once.
#[step(poll = "1s", resources(World))]
pub(crate) struct Item;

impl Step for Item {
    type Input = u64;
    type Output = u64;

    async fn on_continue(&mut self, number: &u64, cx: &StepContext) -> StepResult<u64> {
        let world = cx.resource::<World>()?;
        if *number == 1 && !world.is_open() {
            return pending();
        }
        world.note("Item", cx);
        finish(number * 10)
    }
}

mod group {
    use super::*;

    #[pipeline(name = "group", steps = [a, [b, Hold], sum])]
    pub(crate) struct Old;

    #[pipeline(name = "group", steps = [c, a, [b, Hold], sum, c])]
    pub(crate) struct New;

    #[pipeline(name = "group", steps = [a, [Hold, b], sum])]
    pub(crate) struct Turned;
}

#[tokio::test]
async fn a_group_goes_on_and_what_has_finished_of_it_is_not_called_again() {
    replaced::<group::Old, group::New>(|end| end.finished("203", &["a", "b", "Hold"])).await;
}

#[tokio::test]
async fn a_group_in_another_order_is_another_one() {
    replaced::<group::Old, group::Turned>(|end| {
        end.is_left(&["a", "b"], &["`[b, Hold]` (stage 1 of its list)", "as `[Hold, b]` here"]);
    })
    .await;
}

mod list {
    use super::*;

    #[pipeline(name = "list", steps = [count, each(Item), total])]
    pub(crate) struct Old;

    #[pipeline(name = "list", steps = [a, count, each(Item, concurrency = 2), total, c])]
    pub(crate) struct New;
}

#[tokio::test]
async fn a_list_goes_on_and_what_has_finished_of_it_is_not_called_again() {
    replaced::<list::Old, list::New>(|end| end.finished("30", &["Item[0]", "Item[2]", "Item[1]"])).await;
}

#[tokio::test]
async fn a_list_that_has_finished_may_be_gone() {
    #[pipeline(name = "list-gone", steps = [count, each(b), total, Hold])]
    struct Old;

    #[pipeline(name = "list-gone", steps = [Hold, c])]
    struct New;
    replaced::<Old, New>(|end| end.finished("206", &["b[0]", "b[1]", "b[2]", "Hold"])).await;
}

mod child {
    use super::*;

    #[pipeline(name = "child", steps = [Hold, b])]
    pub(crate) struct Old;

    #[pipeline(name = "child", steps = [a, Hold, c, b])]
    pub(crate) struct New;

    #[pipeline(name = "parent", steps = [a, run(Old), c])]
    pub(crate) struct OldParent;

    #[pipeline(name = "parent", steps = [a, b, run(New), c])]
    pub(crate) struct NewParent;

    /// Ends with another type than the parent was told.
    #[step]
    pub(crate) async fn as_text(number: u64) -> StepResult<String> {
        finish(number.to_string())
    }

    #[pipeline(name = "child", steps = [Hold, b, as_text])]
    pub(crate) struct OtherEnd;

    #[step(name = "c")]
    pub(crate) async fn reads(text: String) -> StepResult<u64> {
        finish(text.len() as u64)
    }

    #[pipeline(name = "parent", steps = [a, run(OtherEnd), reads])]
    pub(crate) struct OtherParent;
}

#[tokio::test]
async fn a_parent_and_its_child_go_on() {
    on_each(async |scene| {
        let run = scene.begin::<child::OldParent>(0).await;
        let end = scene.go_on(&scene.program::<child::NewParent>(), run).await;
        end.finished("203", &["a", "Hold", "b", "c"]);
    })
    .await;
}

#[tokio::test]
async fn a_child_that_would_hand_its_parent_another_type_is_left() {
    on_each(async |scene| {
        let run = scene.begin::<child::OldParent>(0).await;
        let new = scene.program::<child::OtherParent>();
        scene.clock.advance(crate::bench::LATER);
        let report = new.execute_pipelines().await.unwrap();
        assert!(report.left.iter().any(|left| left.why.contains("it ends with a `u64`")), "{report:?}");
        assert_eq!(new.get(run).await.unwrap().unwrap().run.status(), prorch::Status::Pending);
        assert_eq!(scene.world.told(), ["a"]);
    })
    .await;
}
