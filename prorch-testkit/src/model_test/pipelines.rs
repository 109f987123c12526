//! The pipelines whose runs are tried.

use std::sync::OnceLock;
use std::time::Duration;

use prorch_core::error::Error;
use prorch_core::orchestrator::{Orchestrator, OrchestratorBuilder};
use prorch_core::pipeline::{Call, Each, Given, ItemOf, Member, Pipeline, PipelineDefinition, Run, Stage};
use prorch_core::repository::RunId;

use super::shapes::Shape;
use super::step::{Handed, Lists, Scripted};

/// A pipeline of so many steps, one after the other.
pub(super) struct Line<const LENGTH: usize>;

const LINES: [Shape; 4] = [Shape::One, Shape::Two, Shape::Three, Shape::Four];

impl<const LENGTH: usize> Pipeline for Line<LENGTH> {
    type Input = Handed;
    type Output = Handed;
    const NAME: &'static str = LINES[LENGTH - 1].name();

    fn definition() -> &'static PipelineDefinition {
        static DEFINITIONS: [OnceLock<PipelineDefinition>; LINES.len()] =
            [const { OnceLock::new() }; LINES.len()];
        DEFINITIONS[LENGTH - 1].get_or_init(|| {
            let mut stages = vec![
                Stage::of::<Scripted<0>, Handed>(),
                Stage::of::<Scripted<1>, Handed>(),
                Stage::of::<Scripted<2>, Handed>(),
                Stage::of::<Scripted<3>, Handed>(),
            ];
            stages.truncate(LENGTH);
            let line = PipelineDefinition::new(Self::NAME, module_path!(), stages);
            match most_calls(Self::NAME) {
                Some(most) => line.max_calls(most, None),
                None => line,
            }
        })
    }
}

/// How many runs of the pipeline with this name are held at a time, where that is limited. No more than claims is limited
/// here: a run that waits for good would keep others from what the oracle says.
pub(super) fn most_calls(name: &str) -> Option<u32> {
    match Shape::named(name)? {
        Shape::One | Shape::Parent => Some(1),
        Shape::Two | Shape::Grouped => Some(2),
        Shape::Three => Some(3),
        _ => None,
    }
}

/// Makes a pipeline of these stages.
macro_rules! staged {
    ($($name:ident [$($stage:expr),+])+) => {$(
        pub(super) struct $name;

        impl Pipeline for $name {
            type Input = Handed;
            type Output = Handed;
            const NAME: &'static str = Shape::$name.name();

            fn definition() -> &'static PipelineDefinition {
                static DEFINITION: OnceLock<PipelineDefinition> = OnceLock::new();
                DEFINITION
                    .get_or_init(|| {
                        let staged = PipelineDefinition::new(Self::NAME, module_path!(), vec![$($stage),+]);
                        match most_calls(Self::NAME) {
                            Some(most) => staged.max_calls(most, None),
                            None => staged,
                        }
                    })
            }
        }
    )+};
}

type Side = (Call<Scripted<1>>, Call<Scripted<2>>);
type Beside = (Call<Scripted<0>>, Run<Line<1>>);
type Item = ItemOf<Call<Lists>>;

staged! {
    Grouped [
        Stage::of::<Scripted<0>, Handed>(),
        Stage::group::<Side>(vec![
            Member::step::<Scripted<1>, Call<Scripted<0>>, Handed>(),
            Member::step::<Scripted<2>, Call<Scripted<0>>, Handed>(),
        ]),
        Stage::step::<Scripted<3>, Side, (Handed, Handed)>()
    ]
    Listed [
        Stage::of::<Lists, Handed>(),
        Stage::each::<Scripted<1>, Item, Handed>(2),
        Stage::step::<Scripted<2>, Each<Call<Scripted<1>>>, Vec<Handed>>()
    ]
    Parent [
        Stage::of::<Scripted<0>, Handed>(),
        Stage::run::<Line<2>, Call<Scripted<0>>, Handed>(),
        Stage::step::<Scripted<1>, Run<Line<2>>, Handed>()
    ]
    Spread [
        Stage::of::<Lists, Handed>(),
        Stage::each_run::<Line<2>, Item, Handed>(2),
        Stage::step::<Scripted<3>, Each<Run<Line<2>>>, Vec<Handed>>()
    ]
    Mixed [
        Stage::group::<Beside>(vec![
            Member::step::<Scripted<0>, Given<Handed>, Handed>(),
            Member::run::<Line<1>, Given<Handed>, Handed>(),
        ]),
        Stage::step::<Scripted<2>, Beside, (Handed, Handed)>()
    ]
    Deep [Stage::run::<Spread, Given<Handed>, Handed>()]
}

/// All of them.
pub(super) fn known(builder: OrchestratorBuilder) -> OrchestratorBuilder {
    let builder =
        builder.pipeline::<Line<1>>().pipeline::<Line<2>>().pipeline::<Line<3>>().pipeline::<Line<4>>();
    let builder = builder.pipeline::<Grouped>().pipeline::<Listed>().pipeline::<Parent>();
    builder.pipeline::<Spread>().pipeline::<Mixed>().pipeline::<Deep>()
}

/// How a run is started.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Start {
    pub(super) shape: Shape,
    pub(super) seed: u64,
    pub(super) key: Option<u8>,
    pub(super) delay: Duration,
}

impl Start {
    /// Starts it; gives its id, and whether it is new.
    pub(super) async fn by(self, orchestrator: &Orchestrator) -> Result<(RunId, bool), Error> {
        match self.shape {
            Shape::One => self.of::<Line<1>>(orchestrator).await,
            Shape::Two => self.of::<Line<2>>(orchestrator).await,
            Shape::Three => self.of::<Line<3>>(orchestrator).await,
            Shape::Four => self.of::<Line<4>>(orchestrator).await,
            Shape::Grouped => self.of::<Grouped>(orchestrator).await,
            Shape::Listed => self.of::<Listed>(orchestrator).await,
            Shape::Parent => self.of::<Parent>(orchestrator).await,
            Shape::Spread => self.of::<Spread>(orchestrator).await,
            Shape::Mixed => self.of::<Mixed>(orchestrator).await,
            Shape::Deep => self.of::<Deep>(orchestrator).await,
        }
    }

    async fn of<P: Pipeline<Input = Handed>>(
        self,
        orchestrator: &Orchestrator,
    ) -> Result<(RunId, bool), Error> {
        let start = orchestrator.start::<P>(Handed::of(self.seed)).delay(self.delay);
        let start = if let Some(key) = self.key { start.key(format!("key-{key}")) } else { start };
        let handle = start.await?;
        Ok((handle.id(), handle.is_new()))
    }
}
