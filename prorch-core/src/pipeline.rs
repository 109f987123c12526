//! What a pipeline is: a name and a list of stages, as `#[pipeline]` declares it.

use std::any::Any;
use std::sync::Arc;

use crate::flow::FlowsInto;
use crate::model::{Definition, Plan, StepPlan, StepPolicy, Text, definition_key};
use crate::payload::{Payload, PayloadError};
use crate::repository::BoxFuture;
use crate::step::{Invocation, Reply, ResourceType, Step, StepOptions, invoke};

/// A list of steps under a name. Declared by `#[pipeline(steps = […])]` on a unit struct; not implemented by hand.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a pipeline",
    label = "not declared as a pipeline",
    note = "write `#[pipeline(steps = [FirstStep, SecondStep])]` above `struct {Self};`"
)]
pub trait Pipeline: Send + Sync + 'static {
    /// What a run is started with.
    type Input: Payload;
    /// What a run ends with: the output of the last step, or what it was declared to turn into.
    type Output: Send + 'static;
    /// The name that its runs are stored under.
    const NAME: &'static str;

    /// What the engine runs.
    #[doc(hidden)]
    fn definition() -> &'static PipelineDefinition;
}

/// What `#[pipeline]` says about a pipeline.
#[derive(Debug)]
pub struct PipelineDefinition {
    name: &'static str,
    declared_in: &'static str,
    stages: Vec<Stage>,
    output: Option<DecodeOutput>,
}

/// What a run ended with, from what its last step handed on, as it is stored. Its type is the pipeline's to know.
type DecodeOutput = fn(&str) -> Result<Box<dyn Any>, PayloadError>;

/// One stage of a pipeline: a step, and how it is called with what the step before it handed on.
pub struct Stage {
    step: &'static str,
    options: StepOptions,
    blocking: bool,
    resources: &'static [fn() -> ResourceType],
    call: fn(Invocation) -> BoxFuture<'static, Reply>,
    output: DecodeOutput,
}

impl Stage {
    /// The step `S`, after one that hands on `Before` (or at the beginning of a pipeline that is started with it).
    #[must_use]
    pub fn of<S, Before>() -> Self
    where
        S: Step,
        Before: Payload + FlowsInto<S::Input>,
    {
        Self {
            step: S::NAME,
            options: S::OPTIONS,
            blocking: S::BLOCKING,
            resources: S::RESOURCES,
            call: |call| Box::pin(invoke::<S, Before>(call)),
            output: |stored| Ok(Box::new(S::Output::decode(stored)?)),
        }
    }

    /// The step `S`, after the step `Previous`, which hands on `Before`.
    ///
    /// That `Before` can be stored is not asked here: `Previous` was asked for it, and one mistake is told once.
    #[must_use]
    pub fn after<S, Previous, Before>() -> Self
    where
        S: Step,
        Previous: Step<Output = Before>,
        Before: FlowsInto<S::Input>,
    {
        Self::of_pair::<S, Previous>()
    }

    fn of_pair<S, Previous>() -> Self
    where
        S: Step,
        Previous: Step,
        Previous::Output: FlowsInto<S::Input>,
    {
        Self::of::<S, Previous::Output>()
    }

    pub(crate) const fn is_blocking(&self) -> bool {
        self.blocking
    }

    pub(crate) fn call(&self, call: Invocation) -> BoxFuture<'static, Reply> {
        (self.call)(call)
    }

    pub(crate) fn resources(&self) -> impl Iterator<Item = ResourceType> + '_ {
        self.resources.iter().map(|resource| resource())
    }
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.step)
    }
}

impl PipelineDefinition {
    /// A pipeline with these stages, declared in the module with this path.
    #[must_use]
    pub fn new(name: &'static str, declared_in: &'static str, stages: Vec<Stage>) -> Self {
        Self { name, declared_in, stages, output: None }
    }

    /// The same, whose runs end with an `Output` that the last step's output turns into.
    #[must_use]
    pub fn ending_with<Last, Stored, Output>(self) -> Self
    where
        Last: Step<Output = Stored>,
        Stored: FlowsInto<Output>,
        Output: 'static,
    {
        Self { output: Some(|stored| Ok(Box::new(decode::<Last>(stored)?.flow()))), ..self }
    }

    /// What a run ended with whose last step handed this on, as it is stored.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] when the text stands for no such value.
    pub(crate) fn output<Output: 'static>(&self, stored: &str) -> Result<Output, PayloadError> {
        let declared = self.output.or_else(|| self.stages.last().map(|last| last.output));
        let value = declared.map(|decode| decode(stored)).transpose()?;
        let output = value.and_then(|value| value.downcast().ok());
        output.map(|output| *output).ok_or_else(PayloadError::another_type::<Output>)
    }

    /// The name that its runs are stored under.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The path of the module that declares it.
    #[must_use]
    pub const fn declared_in(&self) -> &'static str {
        self.declared_in
    }

    /// The names of its steps' records, in order: a step that stands in the list a second time is `name#2`.
    #[must_use]
    pub fn step_names(&self) -> Vec<Text> {
        let earlier = |at: usize, step| self.stages[..at].iter().filter(|stage| stage.step == step).count();
        let numbered = |(at, stage): (usize, &Stage)| match earlier(at, stage.step) {
            0 => Text::from(stage.step),
            count => Text::from(format!("{}#{}", stage.step, count + 1)),
        };
        self.stages.iter().enumerate().map(numbered).collect()
    }

    /// What its runs are stored under.
    #[must_use]
    pub fn key(&self) -> Definition {
        let names = self.step_names();
        definition_key(self.name, names.iter().map(Text::as_str))
    }

    pub(crate) fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// The pipeline as the state machine sees it, with the orchestrator's defaults filled in.
    pub(crate) fn plan(&self, defaults: &StepPolicy) -> Arc<Plan> {
        let steps = self.stages.iter().zip(self.step_names());
        let stages =
            steps.map(|(stage, name)| StepPlan { name, policy: stage.options.policy(defaults) }).collect();
        Arc::new(Plan { definition: self.key(), stages })
    }
}

fn decode<S: Step>(stored: &str) -> Result<S::Output, PayloadError> {
    S::Output::decode(stored)
}
