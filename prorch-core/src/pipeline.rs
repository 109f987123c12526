//! What a pipeline is: a name and a list of stages, as `#[pipeline]` declares it.

use std::any::Any;
use std::sync::Arc;

use crate::flow::FlowsInto;
use crate::model::{Definition, Plan, Position, StagePlan, StepPlan, StepPolicy, Text, definition_key};
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

/// One stage of a pipeline: its members, and how what they hand on is read.
#[derive(Debug)]
pub struct Stage {
    form: Form,
    members: Vec<Member>,
    output: DecodeOutput,
}

/// How many members a stage has, and where they come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One step.
    One,
    /// The steps that are named.
    Group,
    /// One step, for each item of a list; so many at a time.
    Each(u32),
}

/// A step in a stage, and how it is called with what the stage before handed on.
pub struct Member {
    name: &'static str,
    options: StepOptions,
    blocking: bool,
    resources: &'static [fn() -> ResourceType],
    call: fn(Invocation) -> BoxFuture<'static, Reply>,
    child: Option<fn() -> &'static PipelineDefinition>,
}

impl Stage {
    /// The step `S`, after one that hands on `Before` (or at the beginning of a pipeline that is started with it).
    #[must_use]
    pub fn of<S, Before>() -> Self
    where
        S: Step,
        Before: Payload + FlowsInto<S::Input>,
    {
        let member = Member {
            name: S::NAME,
            options: S::OPTIONS,
            blocking: S::BLOCKING,
            resources: S::RESOURCES,
            call: |call| Box::pin(invoke::<S, Before>(call)),
            child: None,
        };
        Self {
            form: Form::One,
            members: vec![member],
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

    pub(crate) const fn form(&self) -> Form {
        self.form
    }

    fn plan(&self, names: &mut impl Iterator<Item = Text>, defaults: &StepPolicy) -> StagePlan {
        let mut steps = self.members.iter().zip(names).map(|(member, name)| StepPlan {
            name,
            policy: member.options.policy(defaults),
            child: member.child.map(|definition| definition().key()),
        });
        match self.form {
            Form::Group => StagePlan::Group(steps.collect()),
            Form::One | Form::Each(_) => {
                let step = steps.next().unwrap_or_else(|| unreachable!("a stage has a member"));
                match self.form {
                    Form::Each(concurrency) => StagePlan::Each(step, concurrency),
                    _ => StagePlan::One(step),
                }
            }
        }
    }

    /// The stage in one text: what the fingerprint of the pipeline covers.
    fn text(&self, names: &mut impl Iterator<Item = Text>) -> Text {
        let named = |(member, name): (&Member, Text)| match member.child {
            Some(_) => format!("run({name})"),
            None => name.to_string(),
        };
        let steps: Vec<String> = self.members.iter().zip(names).map(named).collect();
        let steps = steps.join(", ");
        Text::from(match self.form {
            Form::One => steps,
            Form::Group => format!("[{steps}]"),
            Form::Each(_) => format!("each({steps})"),
        })
    }
}

impl Member {
    pub(crate) const fn is_blocking(&self) -> bool {
        self.blocking
    }

    pub(crate) fn call(&self, call: Invocation) -> BoxFuture<'static, Reply> {
        (self.call)(call)
    }

    fn resources(&self) -> impl Iterator<Item = ResourceType> + '_ {
        self.resources.iter().map(|resource| resource())
    }
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
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
        let members: Vec<&Member> = self.stages.iter().flat_map(|stage| &stage.members).collect();
        let earlier = |at: usize, name| members[..at].iter().filter(|member| member.name == name).count();
        let numbered = |(at, member): (usize, &&Member)| match earlier(at, member.name) {
            0 => Text::from(member.name),
            count => Text::from(format!("{}#{}", member.name, count + 1)),
        };
        members.iter().enumerate().map(numbered).collect()
    }

    /// What its runs are stored under.
    #[must_use]
    pub fn key(&self) -> Definition {
        let mut names = self.step_names().into_iter();
        let stages: Vec<Text> = self.stages.iter().map(|stage| stage.text(&mut names)).collect();
        definition_key(self.name, stages.iter().map(Text::as_str))
    }

    /// The member that records at `position` belong to.
    pub(crate) fn member(&self, position: Position) -> Option<&Member> {
        let stage = self.stages.get(position.stage as usize)?;
        stage.members.get(if stage.form == Form::Group { position.item as usize } else { 0 })
    }

    /// The resources that its steps ask for, with the names of their records.
    pub(crate) fn resources(&self) -> impl Iterator<Item = (Text, ResourceType)> + '_ {
        let members = self.stages.iter().flat_map(|stage| &stage.members).zip(self.step_names());
        members.flat_map(|(member, name)| member.resources().map(move |resource| (name.clone(), resource)))
    }

    /// The pipeline as the state machine sees it, with the orchestrator's defaults filled in.
    pub(crate) fn plan(&self, defaults: &StepPolicy) -> Arc<Plan> {
        let mut names = self.step_names().into_iter();
        let stages = self.stages.iter().map(|stage| stage.plan(&mut names, defaults)).collect();
        Arc::new(Plan { definition: self.key(), stages })
    }
}

fn decode<S: Step>(stored: &str) -> Result<S::Output, PayloadError> {
    S::Output::decode(stored)
}
