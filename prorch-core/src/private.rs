//! What the code that the macros generate calls. Nothing in here is for people, and nothing of it is kept stable.

pub use std::sync::OnceLock;

pub use linkme;
pub use serde;

pub use crate::flow::{Anything, Begin, FlowsInto};
pub use crate::model::Rate;
pub use crate::payload::Payload;
pub use crate::pipeline::{
    Call, Each, EndOf, Given, HandsOn, HandsOnItems, ItemOf, Member, Pipeline, PipelineDefinition, Run,
    Stage, UndoOn,
};
#[cfg(feature = "cron")]
pub use crate::pipeline::{Declared, Missed, Overlap, default_input, scheduled_input};
pub use crate::registry::{PIPELINES, STEPS, StepEntry};
pub use crate::step::{
    Answered, BatchOptions, ResourceType, RetryOptions, Step, StepContext, StepDefinition, StepError,
    StepOptions, StepResult, answer, taken,
};
pub use crate::{__register_pipeline as register_pipeline, __register_step as register_step};

/// Adds a step to the catalogue. What places it there stands in here, and not in the user's code, so that a crate that
/// forbids unsafe code can declare steps.
#[doc(hidden)]
#[macro_export]
macro_rules! __register_step {
    ($step:ident) => {
        #[$crate::private::linkme::distributed_slice($crate::private::STEPS)]
        #[linkme(crate = $crate::private::linkme)]
        static ENTRY: fn() -> ::core::option::Option<$crate::private::StepEntry> =
            || ::core::option::Option::Some($crate::private::StepEntry::of::<$step>(::core::module_path!()));
    };
}

/// Adds a pipeline to those that are found.
#[doc(hidden)]
#[macro_export]
macro_rules! __register_pipeline {
    ($pipeline:ident) => {
        #[$crate::private::linkme::distributed_slice($crate::private::PIPELINES)]
        #[linkme(crate = $crate::private::linkme)]
        static ENTRY: fn() -> ::core::option::Option<&'static $crate::private::PipelineDefinition> =
            || ::core::option::Option::Some(<$pipeline as $crate::private::Pipeline>::definition());
    };
}
