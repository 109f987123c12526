use super::list::fingerprint;
use super::{Definition, Fan, Position, Rated, StepPolicy, Text, UndoOn};

/// A pipeline as the state machine sees it: names and policies, without code.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What runs of it are stored under.
    pub definition: Definition,
    /// Its stages, in order.
    pub stages: Vec<StagePlan>,
    /// After what ends its runs are undone.
    pub undo: UndoOn,
}

/// A stage as the state machine sees it.
#[derive(Clone, Debug, PartialEq)]
pub enum StagePlan {
    /// One step.
    One(StepPlan),
    /// Two to eight steps side by side.
    Group(Vec<StepPlan>),
    /// One step for each item of the list that the stage before hands on, so many of them at a time.
    Each(StepPlan, u32),
}

/// A step as the state machine sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct StepPlan {
    /// The name of its records.
    pub name: Text,
    /// What the engine owes it.
    pub policy: StepPolicy,
    /// The pipeline that it runs; none for a step that is called.
    pub child: Option<Definition>,
    /// What the code calls it, when a run was started under another name.
    pub renamed: Option<Text>,
    /// Whether there may be something to undo of it.
    pub undoes: bool,
    /// How often it is started; only of a step that stands alone in its stage.
    pub rate: Option<Rated>,
    /// What the limits of the pipeline that it runs look at.
    pub child_begins: Begins,
}

/// What the limits of a pipeline look at when a run of it is started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Begins {
    /// The key of its first step's rate.
    pub starts: Option<Text>,
    /// By which metadata its runs are counted: a run that another one starts has them from that.
    pub per: Vec<Text>,
}

impl Plan {
    /// The step at `position`, if the pipeline has one there.
    #[must_use]
    pub fn step(&self, position: Position) -> Option<&StepPlan> {
        self.stages.get(position.stage as usize)?.member(position.item)
    }

    /// The key of the rate of the step that stands alone at this stage.
    #[must_use]
    pub fn starts(&self, stage: u32) -> Option<&Text> {
        match self.stage(stage)? {
            StagePlan::One(step) => step.rate.as_ref().map(|rated| &rated.key),
            StagePlan::Group(_) | StagePlan::Each(..) => None,
        }
    }

    /// Where the step with this name stands; of two steps with one name the first.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<Position> {
        (0..).zip(&self.stages).find_map(|(stage, plan)| {
            let item = plan.steps().iter().position(|step| step.is_called(name))?;
            Some(Position { stage, item: u32::try_from(item).ok()? })
        })
    }

    /// The stage with this number.
    #[must_use]
    pub fn stage(&self, stage: u32) -> Option<&StagePlan> {
        self.stages.get(stage as usize)
    }
}

impl StepPlan {
    /// Whether this is its name, in the run's list or in the code.
    fn is_called(&self, name: &str) -> bool {
        self.name == *name || self.renamed.as_deref() == Some(name)
    }
}

impl StagePlan {
    /// The step of the member with this number; the members of an `each` are as many as the list has items.
    #[must_use]
    pub fn member(&self, item: u32) -> Option<&StepPlan> {
        match self {
            Self::One(step) => Some(step).filter(|_| item == 0),
            Self::Group(steps) => steps.get(item as usize),
            Self::Each(step, _) => Some(step),
        }
    }

    /// The steps that it names.
    #[must_use]
    pub fn steps(&self) -> &[StepPlan] {
        match self {
            Self::One(step) | Self::Each(step, _) => std::slice::from_ref(step),
            Self::Group(steps) => steps,
        }
    }

    /// The same, to be changed.
    #[must_use]
    pub fn steps_mut(&mut self) -> &mut [StepPlan] {
        match self {
            Self::One(step) | Self::Each(step, _) => std::slice::from_mut(step),
            Self::Group(steps) => steps,
        }
    }

    /// How a run stands in this stage when it comes to it; none for a stage of one step, whose record says it all.
    #[must_use]
    pub fn fan(&self, stage: u32) -> Option<Fan> {
        let width = match self {
            Self::One(_) => return None,
            Self::Group(steps) => Some(u32::try_from(steps.len()).unwrap_or(u32::MAX)),
            Self::Each(..) => None,
        };
        Some(Fan { stage, width, entered: 0, finished: 0, low: 0 })
    }

    /// How many of its members are open at a time.
    #[must_use]
    pub fn side_by_side(&self) -> u32 {
        match self {
            Self::One(_) => 1,
            Self::Group(steps) => u32::try_from(steps.len()).unwrap_or(u32::MAX),
            Self::Each(_, concurrency) => *concurrency,
        }
    }
}

/// What runs of a pipeline with this name and these stages are stored under, where no more is known of the list; each stage
/// is said by the names of its steps and by its form.
#[must_use]
pub fn definition_key<'a>(pipeline: &str, stages: impl IntoIterator<Item = &'a str>) -> Definition {
    Definition::new(pipeline, fingerprint(stages))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_tells_lists_apart_and_is_the_same_tomorrow() {
        let key = definition_key("p", ["a", "b"]);
        assert_ne!(key, definition_key("p", ["ab"]));
        assert_ne!(key, definition_key("p", ["b", "a"]));
        assert_eq!(key.fingerprint, 0xab40_d782_0d40_8076);
    }
}
