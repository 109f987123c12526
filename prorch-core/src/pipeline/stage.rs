use std::any::Any;
#[cfg(feature = "cron")]
use std::time::Duration;

use super::child::{spawn, undo_run};
use super::{Call, Each, Given, HandsOn, Pipeline, PipelineDefinition, Run};
use crate::flow::FlowsInto;
use crate::model::{
    ListedForm, ListedKind, ListedStage, ListedStep, Rated, StagePlan, StepPlan, StepPolicy, Text, type_name,
};
use crate::payload::{Payload, PayloadError};
use crate::repository::BoxFuture;
#[cfg(feature = "cron")]
use crate::step::RetryOptions;
use crate::step::{
    Gathered, Invocation, Many, Reply, ResourceType, Step, StepOptions, add, compensate, invoke,
};

/// What a run ended with, from what its last step handed on, as it is stored. Its type is the pipeline's to know.
pub(super) type DecodeOutput = fn(&str) -> Result<Box<dyn Any>, PayloadError>;

/// The list that a stored text stands for, as JSON; none when the text is that list.
pub(super) type ListOf = fn(&str) -> Result<Option<Text>, PayloadError>;

/// How a member is called.
pub(crate) type CallFn = fn(Invocation) -> BoxFuture<'static, Reply>;

/// One stage of a pipeline: its members, and how what they hand on is read.
#[derive(Debug)]
pub struct Stage {
    form: Form,
    members: Vec<Member>,
    output: DecodeOutput,
    hands_on: fn() -> Text,
}

/// How many members a stage has, and where they come from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// One step.
    One,
    /// The steps that are named.
    Group,
    /// One step, for each item of a list; so many at a time.
    Each(u32, ListOf),
}

/// A step in a stage, and how it is called with what the stage before handed on.
pub struct Member {
    name: &'static str,
    options: StepOptions,
    blocking: bool,
    resources: &'static [fn() -> ResourceType],
    call: CallFn,
    /// How what it did is undone; none when there never is anything to undo.
    undo: Option<CallFn>,
    many: Option<Many>,
    child: Option<fn() -> &'static PipelineDefinition>,
    /// The pipeline that it starts runs of, when it is the step of a schedule.
    ticks: Option<&'static PipelineDefinition>,
    takes: fn() -> Text,
}

impl Stage {
    /// The step `S`, after one that hands on `Before` (or at the beginning of a pipeline that is started with it).
    #[must_use]
    pub fn of<S, Before>() -> Self
    where
        S: Step,
        Before: Payload + FlowsInto<S::Input>,
    {
        Self::one::<Call<S>>(Member::step::<S, Given<Before>, Before>())
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
        Self::one::<Call<S>>(Member::step::<S, Call<Previous>, Previous::Output>())
    }

    /// The step `S`, after a stage of another form, which hands on `Before`.
    #[must_use]
    pub fn step<S, Previous, Before>() -> Self
    where
        S: Step,
        Previous: HandsOn<Output = Before>,
        Before: FlowsInto<S::Input> + Send + 'static,
    {
        Self::one::<Call<S>>(Member::step::<S, Previous, Before>())
    }

    /// A run of the pipeline `P`, after a stage that hands on `Before`; what it did is undone by the step `U`.
    #[must_use]
    pub fn run_undone_by<P, U, Previous, Before>() -> Self
    where
        P: Pipeline,
        U: Step,
        Previous: HandsOn<Output = Before>,
        Before: FlowsInto<P::Input> + Send + 'static,
        (P::Input, Option<P::Output>): FlowsInto<U::Input>,
    {
        Self::one::<Run<P>>(Member::run_undone_by::<P, U, Previous, Before>())
    }

    /// A run of the pipeline `P`, after a stage that hands on `Before`.
    #[must_use]
    pub fn run<P, Previous, Before>() -> Self
    where
        P: Pipeline,
        Previous: HandsOn<Output = Before>,
        Before: FlowsInto<P::Input> + Send + 'static,
    {
        Self::one::<Run<P>>(Member::run::<P, Previous, Before>())
    }

    /// The step of a schedule that starts runs of `pipeline`, which begins with a `Begin`. It bears that one's name: so whoever
    /// knows the pipeline is known by what the schedule is stored under.
    #[cfg(feature = "cron")]
    pub(crate) fn schedule<Begin: Payload>(pipeline: &'static PipelineDefinition, call: CallFn) -> Self {
        Self::one::<Given<()>>(Member::schedule::<Begin>(pipeline, call))
    }

    fn one<Out: HandsOn>(member: Member) -> Self {
        Self::new::<Out>(Form::One, vec![member])
    }

    /// A stage of two to eight members side by side, which hand on what `Out` says together.
    #[must_use]
    pub fn group<Out: HandsOn>(members: Vec<Member>) -> Self {
        Self::new::<Out>(Form::Group, members)
    }

    /// The step `S` for each item of the list before, which `Previous` (an [`ItemOf`](super::ItemOf)) hands on; so many of them at a time.
    #[must_use]
    pub fn each<S, Previous, Before>(concurrency: u32) -> Self
    where
        S: Step,
        Previous: HandsOn<Output = Before>,
        Before: FlowsInto<S::Input> + Send + 'static,
    {
        let member = Member::step::<S, Previous, Before>();
        Self::new::<Each<Call<S>>>(Form::Each(concurrency, Previous::list_of), vec![member])
    }

    /// A run of the pipeline `P` for each item of the list before, which `Previous` hands on; so many of them at a time.
    #[must_use]
    pub fn each_run<P, Previous, Before>(concurrency: u32) -> Self
    where
        P: Pipeline,
        Previous: HandsOn<Output = Before>,
        Before: FlowsInto<P::Input> + Send + 'static,
    {
        let member = Member::run::<P, Previous, Before>();
        Self::new::<Each<Run<P>>>(Form::Each(concurrency, Previous::list_of), vec![member])
    }

    /// A run of the pipeline `P` for each item of the list before; what each did is undone by the step `U`.
    #[must_use]
    pub fn each_run_undone_by<P, U, Previous, Before>(concurrency: u32) -> Self
    where
        P: Pipeline,
        U: Step,
        Previous: HandsOn<Output = Before>,
        Before: FlowsInto<P::Input> + Send + 'static,
        (P::Input, Option<P::Output>): FlowsInto<U::Input>,
    {
        let member = Member::run_undone_by::<P, U, Previous, Before>();
        Self::new::<Each<Run<P>>>(Form::Each(concurrency, Previous::list_of), vec![member])
    }

    fn new<Out: HandsOn>(form: Form, members: Vec<Member>) -> Self {
        let output: DecodeOutput = |stored| Ok(Box::new(Out::decode(stored)?));
        Self { form, members, output, hands_on: type_name::<Out::Output> }
    }

    /// The step that stands alone in it.
    pub(super) fn alone(&self) -> Option<&Member> {
        self.members.first().filter(|_| matches!(self.form, Form::One))
    }

    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    pub(super) fn member(&self, item: u32) -> Option<&Member> {
        self.members.get(if matches!(self.form, Form::Group) { item as usize } else { 0 })
    }

    pub(super) const fn list_of(&self) -> Option<ListOf> {
        match self.form {
            Form::Each(_, list_of) => Some(list_of),
            Form::One | Form::Group => None,
        }
    }

    pub(super) const fn output(&self) -> DecodeOutput {
        self.output
    }

    pub(super) fn plan(&self, names: &mut impl Iterator<Item = Text>, defaults: &StepPolicy) -> StagePlan {
        let is_alone = matches!(self.form, Form::One);
        let mut steps = self.members.iter().zip(names).map(|(member, name)| StepPlan {
            rate: member.rated().filter(|_| is_alone),
            child_begins: member.child().or(member.ticks).map(PipelineDefinition::begins).unwrap_or_default(),
            name,
            policy: member.policy(defaults),
            child: member.child.map(|definition| definition().key()),
            renamed: None,
            undoes: member.undo.is_some(),
        });
        match self.form {
            Form::Group => StagePlan::Group(steps.collect()),
            Form::One | Form::Each(..) => {
                let step = steps.next().unwrap_or_else(|| unreachable!("a stage has a member"));
                match self.form {
                    Form::Each(concurrency, _) => StagePlan::Each(step, concurrency),
                    _ => StagePlan::One(step),
                }
            }
        }
    }

    /// The stage as it is stored with the runs.
    pub(super) fn listed(&self, names: &mut impl Iterator<Item = Text>) -> ListedStage {
        let listed = |(member, name): (&Member, Text)| ListedStep {
            name,
            kind: if member.child.is_some() { ListedKind::Run } else { ListedKind::Step },
        };
        let takes = self.members.first().map_or_else(Text::default, |member| (member.takes)());
        let (form, takes) = match self.form {
            Form::One => (ListedForm::One, takes),
            Form::Group => (ListedForm::Group, takes),
            Form::Each(..) => (ListedForm::Each, Text::from(format!("Vec<{takes}>"))),
        };
        let steps = self.members.iter().zip(names).map(listed).collect();
        ListedStage { form, steps, takes, hands_on: (self.hands_on)() }
    }
}

impl Member {
    /// The step `S`, after a stage that hands on `Before`.
    #[must_use]
    pub fn step<S, Previous, Before>() -> Self
    where
        S: Step,
        Previous: HandsOn<Output = Before>,
        Before: FlowsInto<S::Input> + Send + 'static,
    {
        let (options, blocking, resources) = (S::OPTIONS, S::BLOCKING, S::RESOURCES);
        let called =
            |call| Box::pin(invoke::<S, Before>(call, Previous::decode)) as BoxFuture<'static, Reply>;
        let undone =
            |call| Box::pin(compensate::<S, Before>(call, Previous::decode)) as BoxFuture<'static, Reply>;
        let undo = S::COMPENSATES.then_some(undone as CallFn);
        let many = Many::of::<S>(|gathered, at, call| add::<S, Before>(gathered, at, call, Previous::decode));
        Self { options, blocking, resources, undo, many, ..Self::new::<Before>(S::NAME, called) }
    }

    /// A run of the pipeline `P`, after a stage that hands on `Before`.
    #[must_use]
    pub fn run<P, Previous, Before>() -> Self
    where
        P: Pipeline,
        Previous: HandsOn<Output = Before>,
        Before: FlowsInto<P::Input> + Send + 'static,
    {
        let called = |call| Box::pin(spawn::<P, Before>(call, Previous::decode)) as BoxFuture<'static, Reply>;
        Self { child: Some(P::definition), ..Self::new::<Before>(P::NAME, called) }
    }

    /// The same, where what the run did is undone by the step `U`: it gets what the run was started with, and what it
    /// ended with if it finished.
    #[must_use]
    pub fn run_undone_by<P, U, Previous, Before>() -> Self
    where
        P: Pipeline,
        U: Step,
        Previous: HandsOn<Output = Before>,
        Before: FlowsInto<P::Input> + Send + 'static,
        (P::Input, Option<P::Output>): FlowsInto<U::Input>,
    {
        let undo: CallFn = |call| Box::pin(undo_run::<P, U, Before>(call, Previous::decode));
        let (options, blocking, resources) = (U::OPTIONS, U::BLOCKING, U::RESOURCES);
        Self { options, blocking, resources, undo: Some(undo), ..Self::run::<P, Previous, Before>() }
    }

    /// The step of a schedule that starts runs of `pipeline`: it never fails for good.
    #[cfg(feature = "cron")]
    fn schedule<Begin>(pipeline: &'static PipelineDefinition, call: CallFn) -> Self {
        let retry = RetryOptions { max_attempts: Some(u32::MAX), ..RetryOptions::NONE };
        let options = StepOptions { retry, deadline: Some(Duration::MAX), ..StepOptions::NONE };
        Self { options, ticks: Some(pipeline), ..Self::new::<Begin>(pipeline.name(), call) }
    }

    fn new<Before>(name: &'static str, call: CallFn) -> Self {
        let (options, blocking, resources) = (StepOptions::NONE, false, &[]);
        Self {
            name,
            options,
            blocking,
            resources,
            call,
            undo: None,
            many: None,
            child: None,
            ticks: None,
            takes: type_name::<Before>,
        }
    }

    pub(crate) const fn name(&self) -> &'static str {
        self.name
    }

    /// The rate of its step, and the key under which that is counted.
    pub(super) fn rated(&self) -> Option<Rated> {
        self.options.rate.filter(|_| self.child.is_none()).map(|rate| Rated::of(self.name, rate))
    }

    fn policy(&self, defaults: &StepPolicy) -> StepPolicy {
        let policy = match self.many {
            Some(_) => self.options.policy_of_many(defaults),
            None => self.options.policy(defaults),
        };
        // A run of its own is started once anyhow: its options are those of the step by which it is undone.
        StepPolicy { at_most_once: policy.at_most_once && self.child.is_none(), ..policy }
    }

    /// How it is called together with others of its step, if it can be.
    pub(crate) const fn many(&self) -> Option<&Many> {
        self.many.as_ref()
    }

    /// Adds a call that would be made to those of its step that are made together.
    pub(crate) fn add(
        &self,
        gathered: &mut dyn Gathered,
        at: usize,
        call: Invocation,
    ) -> Result<(), Box<Reply>> {
        let many =
            self.many.as_ref().unwrap_or_else(|| unreachable!("a step that is asked alone is not gathered"));
        (many.add)(gathered, at, call)
    }

    /// The pipeline that it starts runs of, when it is the step of a schedule.
    pub(crate) const fn ticks(&self) -> Option<&'static PipelineDefinition> {
        self.ticks
    }

    pub(super) fn child(&self) -> Option<&'static PipelineDefinition> {
        self.child.map(|definition| definition())
    }

    pub(crate) const fn is_blocking(&self) -> bool {
        self.blocking
    }

    pub(crate) fn call(&self, call: Invocation) -> BoxFuture<'static, Reply> {
        match self.undo {
            Some(undo) if call.undo.is_some() => undo(call),
            _ => (self.call)(call),
        }
    }

    pub(super) fn resources(&self) -> impl Iterator<Item = ResourceType> + '_ {
        self.resources.iter().map(|resource| resource())
    }
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}
