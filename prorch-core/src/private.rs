//! What the code that the macros generate calls. Nothing in here is for people, and nothing of it is kept stable.

pub use linkme;
pub use serde;

pub use crate::flow::{Begin, FlowsInto};
pub use crate::payload::Payload;
pub use crate::pipeline::{Pipeline, PipelineDefinition, Stage};
pub use crate::registry::{PIPELINES, STEPS, StepEntry};
pub use crate::step::{
    ResourceType, RetryOptions, Step, StepContext, StepDefinition, StepError, StepOptions, StepResult,
};
