use std::sync::Arc;

use crate::model::{
    Begins, Definition, Fit, ListedForm, ListedStage, Plan, Position, StagePlan, StepList, StepPlan,
    StepPolicy, Text,
};
use crate::pipeline::{Member, PipelineDefinition};

/// What an orchestrator knows about runs of one definition: by which plan they go, and where the code of their steps is.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) pipeline: &'static PipelineDefinition,
    pub(crate) plan: Arc<Plan>,
    /// How the plan fits the code; none when it is the code's own.
    fit: Option<Arc<Fit>>,
}

/// What a program thinks of a definition that is not its own.
#[derive(Clone, Debug)]
pub(crate) enum Judgement {
    /// No pipeline of that name is known here.
    Foreign,
    /// This differs for all of its runs.
    Differs(Text),
    /// Some of its runs can go on here, or all.
    Fits(Arc<Match>),
}

/// A definition some of whose runs can go on by the code that is here.
#[derive(Debug)]
pub(crate) struct Match {
    /// What they are stored under when they do.
    pub(crate) adopted: Definition,
    pub(crate) fit: Arc<Fit>,
    pub(crate) known: Arc<Known>,
}

impl Known {
    /// Runs that were started with the code's own list.
    pub(super) fn own(pipeline: &'static PipelineDefinition, defaults: &StepPolicy) -> Self {
        Self { pipeline, plan: pipeline.plan(defaults), fit: None }
    }

    /// Judges runs that were started with another list of this version of the pipeline.
    pub(super) fn judge(&self, started_with: &StepList, defaults: &StepPolicy) -> Judgement {
        let fit = Arc::new(self.pipeline.judge(started_with));
        if !fit.is_any() {
            return Judgement::Differs(fit.at(0).unwrap_or_default());
        }
        let adopted = started_with.adopted(self.pipeline.name(), &self.pipeline.list());
        let stages = started_with.stages.iter().zip(&fit.places);
        let stages = stages.map(|(listed, place)| self.stage(listed, *place, defaults)).collect();
        let plan = Arc::new(Plan { definition: adopted.clone(), stages, undo: started_with.undo });
        let known = Self { pipeline: self.pipeline, plan, fit: Some(fit.clone()) };
        Judgement::Fits(Arc::new(Match { adopted, fit, known: Arc::new(known) }))
    }

    /// A stage of a list that is not the code's: as the code has it, under the names by which the run knows its steps.
    fn stage(&self, listed: &ListedStage, place: Option<usize>, defaults: &StepPolicy) -> StagePlan {
        let Some(found) = place.and_then(|place| self.plan.stages.get(place)) else {
            return finished(listed, defaults);
        };
        let mut stage = found.clone();
        for (step, listed) in stage.steps_mut().iter_mut().zip(&listed.steps) {
            step.renamed = (step.name != listed.name).then(|| step.name.clone());
            step.name = listed.name.clone();
        }
        stage
    }

    /// The member that records at `position` belong to; none for a stage that the code does not have any more.
    pub(crate) fn member(&self, position: Position) -> Option<&'static Member> {
        self.pipeline.member(Position { stage: self.place(position.stage)?, ..position })
    }

    /// How the list is found that the stage goes through (see [`PipelineDefinition::list_of`]).
    pub(crate) fn list_of(
        &self,
        stage: u32,
    ) -> Option<impl Fn(&str) -> Result<Option<Text>, Text> + Send + use<>> {
        self.pipeline.list_of(self.place(stage)?)
    }

    /// Which stage of the code that is.
    fn place(&self, stage: u32) -> Option<u32> {
        let Some(fit) = &self.fit else { return Some(stage) };
        fit.places.get(stage as usize).copied().flatten().and_then(|place| u32::try_from(place).ok())
    }

    /// What keeps a run that stands at this stage from going on here, if anything does.
    pub(crate) fn differs(&self, stage: u32) -> Option<Text> {
        self.fit.as_ref()?.at(stage)
    }
}

/// A stage that the code does not have any more. A run that can go on has finished it: nothing but its form counts.
fn finished(listed: &ListedStage, defaults: &StepPolicy) -> StagePlan {
    let mut steps = listed.steps.iter().map(|step| StepPlan {
        name: step.name.clone(),
        policy: *defaults,
        child: None,
        renamed: None,
        rate: None,
        child_begins: Begins::default(),
        // What there would be to undo only its code knows.
        undoes: true,
    });
    let mut first = || steps.next().unwrap_or_else(|| unreachable!("a stage that is listed has a member"));
    match listed.form {
        ListedForm::One => StagePlan::One(first()),
        ListedForm::Each => StagePlan::Each(first(), 1),
        ListedForm::Group => StagePlan::Group(steps.collect()),
    }
}
