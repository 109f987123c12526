//! What a pipeline is: a name and a list of stages, as `#[pipeline]` declares it.

mod hands_on;
mod stage;
mod child;
#[cfg(feature = "cron")]
mod schedule;
mod limits;

use std::sync::{Arc, OnceLock};

use crate::flow::FlowsInto;
use crate::model::{Cap, Definition, FIRST_VERSION, Fit, Here, Plan, Position, StepList, StepPolicy, Text};
use crate::payload::{Payload, PayloadError};
use crate::step::ResourceType;

pub use crate::model::UndoOn;
#[cfg(feature = "cron")]
pub use crate::model::{Missed, Overlap};
pub use hands_on::{Call, Each, EndOf, Given, HandsOn, HandsOnItems, ItemOf, Run};
pub use stage::{Member, Stage};

#[cfg(feature = "cron")]
pub use schedule::{Declared, DefaultInput, default_input, scheduled_input};

use stage::DecodeOutput;

/// A list of steps under a name. Declared by `#[pipeline(steps = […])]` on a unit struct; not implemented by hand.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a pipeline",
    label = "not declared as a pipeline",
    note = "write `#[pipeline(steps = [FirstStep, SecondStep])]` above `struct {Self};`",
    note = "a step stands in the list by its name alone, without `run(…)`"
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
    version: u32,
    aliases: Vec<(&'static str, &'static str)>,
    undo: UndoOn,
    running: Option<Cap>,
    calls: Option<Cap>,
    key: OnceLock<Definition>,
    #[cfg(feature = "cron")]
    schedule: Option<Declared>,
    /// The pipeline that its schedules are runs of.
    #[cfg(feature = "cron")]
    scheduler: OnceLock<Box<Self>>,
}

impl PipelineDefinition {
    /// A pipeline with these stages, declared in the module with this path.
    #[must_use]
    pub fn new(name: &'static str, declared_in: &'static str, stages: Vec<Stage>) -> Self {
        Self {
            name,
            declared_in,
            stages,
            output: None,
            version: FIRST_VERSION,
            aliases: Vec::new(),
            undo: UndoOn::NEVER,
            running: None,
            calls: None,
            key: OnceLock::new(),
            #[cfg(feature = "cron")]
            schedule: None,
            #[cfg(feature = "cron")]
            scheduler: OnceLock::new(),
        }
    }

    /// The same, as this version. Runs of another version are not gone on with by its code.
    #[must_use]
    pub fn version(self, version: u32) -> Self {
        Self { version, ..self }
    }

    /// The same, some of whose steps had other names before: the name before, and the one now.
    #[must_use]
    pub fn aliases(self, aliases: Vec<(&'static str, &'static str)>) -> Self {
        Self { aliases, ..self }
    }

    /// The same, whose runs are undone after such an end.
    #[must_use]
    pub fn undone(self, undo: UndoOn) -> Self {
        Self { undo, ..self }
    }

    /// The same, with a schedule.
    #[cfg(feature = "cron")]
    #[must_use]
    pub fn scheduled(self, schedule: Declared) -> Self {
        Self { schedule: Some(schedule), ..self }
    }

    /// The schedule that it is declared with.
    #[cfg(feature = "cron")]
    pub(crate) const fn schedule(&self) -> Option<&Declared> {
        self.schedule.as_ref()
    }

    /// The pipeline that its schedules are runs of, which is made once.
    #[cfg(feature = "cron")]
    pub(crate) fn scheduler(&'static self, make: fn(&'static Self) -> Self) -> &'static Self {
        self.scheduler.get_or_init(|| Box::new(make(self)))
    }

    /// The same, whose runs end with an `Output` that the last stage's output turns into.
    #[must_use]
    pub fn ending_with<Last, Stored, Output>(self) -> Self
    where
        Last: HandsOn<Output = Stored>,
        Stored: FlowsInto<Output>,
        Output: 'static,
    {
        Self { output: Some(|stored| Ok(Box::new(Last::decode(stored)?.flow()))), ..self }
    }

    /// Whether its runs end with something else than its last step hands on.
    pub(crate) const fn turns_its_output(&self) -> bool {
        self.output.is_some()
    }

    /// What a run ended with whose last step handed this on, as it is stored.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] when the text stands for no such value.
    pub(crate) fn output<Output: 'static>(&self, stored: &str) -> Result<Output, PayloadError> {
        let declared = self.output.or_else(|| self.stages.last().map(Stage::output));
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
        let members: Vec<&Member> = self.members().collect();
        let earlier = |at: usize, name| members[..at].iter().filter(|member| member.name() == name).count();
        let numbered = |(at, member): (usize, &&Member)| match earlier(at, member.name()) {
            0 => Text::from(member.name()),
            count => Text::from(format!("{}#{}", member.name(), count + 1)),
        };
        members.iter().enumerate().map(numbered).collect()
    }

    /// Its list of steps, as it is stored with its runs.
    #[must_use]
    pub fn list(&self) -> StepList {
        let mut names = self.step_names().into_iter();
        let stages = self.stages.iter().map(|stage| stage.listed(&mut names)).collect();
        StepList { version: self.version, stages, undo: self.undo }
    }

    /// What its runs are stored under.
    #[must_use]
    pub fn key(&self) -> Definition {
        self.key.get_or_init(|| self.list().definition(self.name)).clone()
    }

    /// How a list that runs were started with fits this one.
    pub(crate) fn judge(&self, started_with: &StepList) -> Fit {
        Here { pipeline: self.name, list: &self.list(), aliases: &self.aliases }.judge(started_with)
    }

    /// Which version it is.
    pub(crate) const fn which_version(&self) -> u32 {
        self.version
    }

    fn members(&self) -> impl Iterator<Item = &Member> {
        self.stages.iter().flat_map(Stage::members)
    }

    /// The pipelines that its steps run.
    pub(crate) fn children(&self) -> impl Iterator<Item = &'static Self> + '_ {
        self.members().filter_map(Member::child)
    }

    /// The member that records at `position` belong to.
    pub(crate) fn member(&self, position: Position) -> Option<&Member> {
        self.stages.get(position.stage as usize)?.member(position.item)
    }

    /// How the list is found that this stage goes through, one item after the other; none for a stage of another form.
    /// What is wrong is said without any part of what is stored.
    pub(crate) fn list_of(
        &self,
        stage: u32,
    ) -> Option<impl Fn(&str) -> Result<Option<Text>, Text> + Send + use<>> {
        let list_of = self.stages.get(stage as usize)?.list_of()?;
        Some(move |stored: &str| list_of(stored).map_err(|error| Text::from(error.without_values())))
    }

    /// The resources that its steps ask for, with the names of their records.
    pub(crate) fn resources(&self) -> impl Iterator<Item = (Text, ResourceType)> + '_ {
        let members = self.members().zip(self.step_names());
        members.flat_map(|(member, name)| member.resources().map(move |resource| (name.clone(), resource)))
    }

    /// The pipeline as the state machine sees it, with the orchestrator's defaults filled in.
    pub(crate) fn plan(&self, defaults: &StepPolicy) -> Arc<Plan> {
        let mut names = self.step_names().into_iter();
        let stages = self.stages.iter().map(|stage| stage.plan(&mut names, defaults)).collect();
        Arc::new(Plan { definition: self.key(), stages, undo: self.undo })
    }
}
