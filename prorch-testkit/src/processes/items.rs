//! Two [pipelines](super::pipelines) with many members in one stage: items of a list, and runs of their own.

use std::sync::OnceLock;
use std::time::Duration;

use prorch_core::pipeline::{Call, Each, ItemOf, Pipeline, PipelineDefinition, Run, Stage};
use prorch_core::step::{Step, StepContext, StepDefinition, StepResult, finish};
use serde::{Deserialize, Serialize};

use super::journal::Does;
use super::pipelines::Plain;
use super::steps::{Noted, Order};

/// How many of one run are open at a time.
const SIDE_BY_SIDE: u32 = 16;

/// What a run with many members is started with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Many {
    /// How many.
    pub members: u32,
    /// How long each call works; one for an item does five or fifty times as long.
    pub work: Duration,
}

/// One of a list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct One {
    number: u32,
    work: Duration,
}

macro_rules! declare {
    ($($name:ident),*) => {$(
        #[derive(Default, Serialize, Deserialize)]
        pub(super) struct $name;

        impl StepDefinition for $name {
            const NAME: &'static str = stringify!($name);
        }
    )*};
}

declare!(List, Item, Children, Counted, Told);

impl Step for List {
    type Input = Many;
    type Output = Vec<One>;

    async fn on_start(&mut self, many: &Many, _: &StepContext) -> StepResult<Vec<One>> {
        // One of eight takes long, so that they don't end in the order in which they were begun.
        let work = |number: u32| many.work * if number.is_multiple_of(8) { 50 } else { 5 };
        finish((0..many.members).map(|number| One { number, work: work(number) }).collect())
    }
}

/// Notes which item it was given.
impl Step for Item {
    type Input = One;
    type Output = u32;

    async fn on_start(&mut self, one: &One, cx: &StepContext) -> StepResult<u32> {
        Noted::begin(cx, one.number, one.work).await?.note(Does::Finishes)?;
        finish(one.number)
    }
}

/// Ends with the outputs of all items, in order.
impl Step for Counted {
    type Input = Vec<u32>;
    type Output = Vec<u32>;

    async fn on_start(&mut self, numbers: &Vec<u32>, _: &StepContext) -> StepResult<Vec<u32>> {
        finish(numbers.clone())
    }
}

impl Step for Children {
    type Input = Many;
    type Output = Vec<Order>;

    async fn on_start(&mut self, many: &Many, _: &StepContext) -> StepResult<Vec<Order>> {
        finish(vec![Order::default().working(many.work); many.members as usize])
    }
}

/// Ends with how many runs handed something on.
impl Step for Told {
    type Input = Vec<Order>;
    type Output = usize;

    async fn on_start(&mut self, orders: &Vec<Order>, _: &StepContext) -> StepResult<usize> {
        finish(orders.len())
    }
}

/// A list, and a step for each of its items, of which sixteen are called side by side. It ends with their numbers.
#[derive(Debug)]
pub struct Items;

impl Pipeline for Items {
    type Input = Many;
    type Output = Vec<u32>;
    const NAME: &'static str = "Items";

    fn definition() -> &'static PipelineDefinition {
        static DEFINITION: OnceLock<PipelineDefinition> = OnceLock::new();
        DEFINITION.get_or_init(|| {
            let stages = vec![
                Stage::of::<List, Many>(),
                Stage::each::<Item, ItemOf<Call<List>>, One>(SIDE_BY_SIDE),
                Stage::step::<Counted, Each<Call<Item>>, Vec<u32>>(),
            ];
            PipelineDefinition::new(Self::NAME, module_path!(), stages)
        })
    }
}

/// A list, and a run of [`Plain`] for each of its items, of which sixteen are open at a time. It ends with how many have
/// finished.
#[derive(Debug)]
pub struct Family;

impl Pipeline for Family {
    type Input = Many;
    type Output = usize;
    const NAME: &'static str = "Family";

    fn definition() -> &'static PipelineDefinition {
        static DEFINITION: OnceLock<PipelineDefinition> = OnceLock::new();
        DEFINITION.get_or_init(|| {
            let stages = vec![
                Stage::of::<Children, Many>(),
                Stage::each_run::<Plain, ItemOf<Call<Children>>, Order>(SIDE_BY_SIDE),
                Stage::step::<Told, Each<Run<Plain>>, Vec<Order>>(),
            ];
            PipelineDefinition::new(Self::NAME, module_path!(), stages)
        })
    }
}
