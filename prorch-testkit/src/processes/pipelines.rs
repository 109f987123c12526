//! The pipelines that worker processes run, written without macros.

use std::sync::OnceLock;

use prorch_core::pipeline::{Pipeline, PipelineDefinition, Stage};

use super::steps::{Between, Erring, First, Fourth, Order, POLLS, Polled, Second, Third};

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

/// A pipeline whose list of steps has changed from one build of its program to the next: one step was put in, one
/// renamed.
#[derive(Debug)]
pub struct Changing;

impl Changing {
    /// The calls that a run makes which the old build has started, whoever goes on with it. A step that was renamed since
    /// is called under the name that the run was started with.
    pub const OLD_CALLS: &[(&str, u32)] =
        &[("First", 0), ("Polled", 0), ("Polled", 1), ("Polled", 2), ("Polled", POLLS), ("Third", 0)];
    /// The calls that a run makes which the new build has started.
    pub const NEW_CALLS: &[(&str, u32)] = &[
        ("First", 0),
        ("Between", 0),
        ("Polled", 0),
        ("Polled", 1),
        ("Polled", 2),
        ("Polled", POLLS),
        ("Fourth", 0),
    ];
    /// Its name, in both builds.
    pub const NAME: &str = "Changing";
}

/// The two builds of [`Changing`].
pub(super) mod changing {
    use super::*;

    #[derive(Debug)]
    pub(crate) struct Old;

    impl Pipeline for Old {
        type Input = Order;
        type Output = Order;
        const NAME: &'static str = Changing::NAME;

        fn definition() -> &'static PipelineDefinition {
            static DEFINITION: OnceLock<PipelineDefinition> = OnceLock::new();
            DEFINITION.get_or_init(|| {
                let stages = vec![
                    Stage::of::<First, Order>(),
                    Stage::of::<Polled, Order>(),
                    Stage::of::<Third, Order>(),
                ];
                PipelineDefinition::new(Self::NAME, module_path!(), stages)
            })
        }
    }

    #[derive(Debug)]
    pub(crate) struct New;

    impl Pipeline for New {
        type Input = Order;
        type Output = Order;
        const NAME: &'static str = Changing::NAME;

        fn definition() -> &'static PipelineDefinition {
            static DEFINITION: OnceLock<PipelineDefinition> = OnceLock::new();
            DEFINITION.get_or_init(|| {
                let stages = vec![
                    Stage::of::<First, Order>(),
                    Stage::of::<Between, Order>(),
                    Stage::of::<Polled, Order>(),
                    Stage::of::<Fourth, Order>(),
                ];
                let new = PipelineDefinition::new(Self::NAME, module_path!(), stages);
                new.aliases(vec![("Third", "Fourth")])
            })
        }
    }
}
