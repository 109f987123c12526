//! The pipelines that worker processes run, written without macros.

use std::sync::OnceLock;

use prorch_core::pipeline::{Pipeline, PipelineDefinition, Stage};

use super::steps::{Erring, First, Order, POLLS, Polled, Second, Third};

/// Three steps, each of which is called once. The second one does what the [`Order`] says.
#[derive(Debug)]
pub struct Plain;

impl Plain {
    /// The calls that a run makes when nothing happens to it: the step, and how often it had answered *pending* before.
    pub const CALLS: &[(&str, u32)] = &[("First", 0), ("Second", 0), ("Third", 0)];
}

impl Pipeline for Plain {
    type Input = Order;
    type Output = Order;
    const NAME: &'static str = "Plain";

    fn definition() -> &'static PipelineDefinition {
        static DEFINITION: OnceLock<PipelineDefinition> = OnceLock::new();
        DEFINITION.get_or_init(|| {
            let stages =
                vec![Stage::of::<First, Order>(), Stage::of::<Second, Order>(), Stage::of::<Third, Order>()];
            PipelineDefinition::new(Self::NAME, module_path!(), stages)
        })
    }
}

/// Three steps: one that is called once, one that answers *pending* three times, and one that errs at first.
#[derive(Debug)]
pub struct Patient;

impl Patient {
    /// The calls that a run makes when nothing happens to it, as [`Plain::CALLS`]; the last one errs at first.
    pub const CALLS: &[(&str, u32)] =
        &[("First", 0), ("Polled", 0), ("Polled", 1), ("Polled", 2), ("Polled", POLLS), ("Erring", 0)];
}

impl Pipeline for Patient {
    type Input = Order;
    type Output = Order;
    const NAME: &'static str = "Patient";

    fn definition() -> &'static PipelineDefinition {
        static DEFINITION: OnceLock<PipelineDefinition> = OnceLock::new();
        DEFINITION.get_or_init(|| {
            let stages =
                vec![Stage::of::<First, Order>(), Stage::of::<Polled, Order>(), Stage::of::<Erring, Order>()];
            PipelineDefinition::new(Self::NAME, module_path!(), stages)
        })
    }
}
