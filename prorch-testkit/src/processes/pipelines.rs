//! The pipelines that worker processes run, written without macros.

use std::sync::OnceLock;

use prorch_core::pipeline::{Pipeline, PipelineDefinition, Stage};

use super::steps::{Erring, First, Order, Polled, Second, Third};

/// Three steps, each of which is called once. The second one does what the [`Order`] says.
#[derive(Debug)]
pub struct Plain;

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
