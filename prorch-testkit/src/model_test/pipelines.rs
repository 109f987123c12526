//! The pipelines whose runs are tried.

use std::sync::OnceLock;
use std::time::Duration;

use prorch_core::error::Error;
use prorch_core::orchestrator::{Orchestrator, OrchestratorBuilder};
use prorch_core::pipeline::{Pipeline, PipelineDefinition, Stage};
use prorch_core::repository::RunId;

use super::step::{Handed, NAMES, Scripted};

/// A pipeline of so many steps, one after the other.
pub(super) struct Line<const LENGTH: usize>;

const LINES: [&str; NAMES.len()] = ["one", "two", "three", "four"];

impl<const LENGTH: usize> Pipeline for Line<LENGTH> {
    type Input = Handed;
    type Output = Handed;
    const NAME: &'static str = LINES[LENGTH - 1];

    fn definition() -> &'static PipelineDefinition {
        static DEFINITIONS: [OnceLock<PipelineDefinition>; NAMES.len()] =
            [const { OnceLock::new() }; NAMES.len()];
        DEFINITIONS[LENGTH - 1].get_or_init(|| {
            let mut stages = vec![
                Stage::of::<Scripted<0>, Handed>(),
                Stage::of::<Scripted<1>, Handed>(),
                Stage::of::<Scripted<2>, Handed>(),
                Stage::of::<Scripted<3>, Handed>(),
            ];
            stages.truncate(LENGTH);
            PipelineDefinition::new(Self::NAME, module_path!(), stages)
        })
    }
}

/// Which pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shape {
    One,
    Two,
    Three,
    Four,
}

impl Shape {
    pub(super) const ALL: [Self; 4] = [Self::One, Self::Two, Self::Three, Self::Four];

    /// How many steps it has.
    pub(super) const fn length(self) -> usize {
        self as usize + 1
    }

    /// All of them.
    pub(super) fn known(builder: OrchestratorBuilder) -> OrchestratorBuilder {
        builder.pipeline::<Line<1>>().pipeline::<Line<2>>().pipeline::<Line<3>>().pipeline::<Line<4>>()
    }
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
        }
    }

    async fn of<P: Pipeline<Input = Handed>>(
        self,
        orchestrator: &Orchestrator,
    ) -> Result<(RunId, bool), Error> {
        let start = orchestrator.start::<P>(Handed { seed: self.seed, marks: Vec::new() }).delay(self.delay);
        let start = if let Some(key) = self.key { start.key(format!("key-{key}")) } else { start };
        let handle = start.await?;
        Ok((handle.id(), handle.is_new()))
    }
}
