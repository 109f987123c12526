//! Whether a run that was started with one list of steps can go on by the code of another.

use super::{ListedForm, ListedStage, ListedStep, StepList, StoredRun, Text};

/// How a list that runs were started with fits the code that is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fit {
    /// For each stage of the list, which stage of the code's list it is; none for one that the code does not have.
    pub places: Vec<Option<usize>>,
    /// For each stage of the list, what differs for a run that stands there; none when such a run can go on.
    pub differs: Vec<Option<Text>>,
    /// For each stage of the list, what differs for a run that is undone from there on, back to its first stage.
    pub undo: Vec<Option<Text>>,
    /// What differs for a run whose output somebody takes who was compiled against the code's list: a parent.
    pub end: Option<Text>,
}

impl Fit {
    /// Whether a run can go on wherever it stands.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.differs.iter().chain(&self.undo).all(Option::is_none) && self.end.is_none()
    }

    /// Whether there is a stage at which a run can go on.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.differs.iter().any(Option::is_none)
    }

    /// What differs for a run that stands at this stage, or why it can't stand there; none when it can go on.
    #[must_use]
    pub fn at(&self, stage: u32) -> Option<Text> {
        let nowhere =
            || Some(Text::from(format!("it stands at stage {stage}, which its own list does not have")));
        self.differs.get(stage as usize).map_or_else(nowhere, Clone::clone)
    }

    /// What differs for this run where it stands, or on its way back when it is undone; none when it can go on.
    #[must_use]
    pub fn of(&self, run: &StoredRun) -> Option<Text> {
        let stage = run.stage();
        if run.run.state.is_undoing() {
            self.undo.get(stage as usize).cloned().flatten()
        } else {
            self.at(stage)
        }
    }
}

/// The code that is here, as far as it matters to runs that were started with another list.
#[derive(Clone, Copy, Debug)]
pub struct Here<'a> {
    /// The name of the pipeline.
    pub pipeline: &'a str,
    /// Its list.
    pub list: &'a StepList,
    /// What steps were called before, and are called now.
    pub aliases: &'a [(&'a str, &'a str)],
}

impl Here<'_> {
    /// Judges a list. A run goes on by the list that it was started with, and the code gives the steps by name: so every
    /// stage that is not finished must be there, in the same form, and at each seam the type that is handed on must be the
    /// one that is taken. Stages that are finished may be gone, and those that the list doesn't have are passed over.
    #[must_use]
    pub fn judge(&self, started_with: &StepList) -> Fit {
        let stages = &started_with.stages;
        let places: Vec<Option<usize>> = stages.iter().map(|stage| self.place(stage)).collect();
        let look = Look { here: self, stages, places: &places };
        let mut differs = vec![None; stages.len()];
        let mut later = None;
        for stage in (0..stages.len()).rev() {
            let missing = look.missing(stage);
            differs[stage] = missing.clone().or_else(|| look.arrival(stage)).or_else(|| later.clone());
            later = missing.or_else(|| look.seam(stage)).or(later);
        }
        let end = look.end();
        let mut undo: Vec<Option<Text>> = Vec::with_capacity(stages.len());
        for stage in 0..stages.len() {
            let earlier = undo.last().cloned().flatten();
            undo.push(
                look.missing(stage)
                    .or_else(|| look.arrival(stage))
                    .or_else(|| look.outcome(stage))
                    .or(earlier),
            );
        }
        Fit { places, differs, undo, end }
    }

    fn place(&self, stage: &ListedStage) -> Option<usize> {
        self.list.stages.iter().position(|here| {
            let mut pairs = stage.steps.iter().zip(&here.steps);
            stage.form == here.form
                && stage.steps.len() == here.steps.len()
                && pairs.all(|(old, new)| old.kind == new.kind && self.is_called(&old.name, &new.name))
        })
    }

    /// Whether a step that was called `old` is the one that is called `new` here. The second step of one name in a list is
    /// `name#2`, before and after a renaming.
    fn is_called(&self, old: &str, new: &str) -> bool {
        let (old, old_count) = numbered(old);
        let (new, new_count) = numbered(new);
        let renamed = || self.aliases.iter().any(|(before, now)| *before == old && *now == new);
        old_count == new_count && (old == new || !self.has(old) && renamed())
    }

    fn has(&self, name: &str) -> bool {
        self.list.stages.iter().flat_map(|stage| &stage.steps).any(|step| numbered(&step.name).0 == name)
    }

    fn stage_with(&self, name: &str) -> Option<&ListedStage> {
        let is_called = |step: &ListedStep| self.is_called(name, &step.name);
        self.list.stages.iter().find(|stage| stage.steps.iter().any(is_called))
    }
}

struct Look<'a> {
    here: &'a Here<'a>,
    stages: &'a [ListedStage],
    places: &'a [Option<usize>],
}

impl Look<'_> {
    fn found(&self, stage: usize) -> Option<&ListedStage> {
        self.here.list.stages.get((*self.places.get(stage)?)?)
    }

    /// What is said when the code does not have the stage.
    fn missing(&self, stage: usize) -> Option<Text> {
        if self.places[stage].is_some() {
            return None;
        }
        let (old, pipeline) = (&self.stages[stage], self.here.pipeline);
        let gone = old.steps.iter().find(|step| self.here.stage_with(&step.name).is_none());
        Some(Text::from(match gone {
            Some(ListedStep { name, .. }) => format!(
                "it needs the step `{name}` (stage {stage} of its list), which the pipeline `{pipeline}` does not have \
                 here: give the step back, write `aliases(\"{name}\" = TheNewName)` if it was renamed, or run the old \
                 program until its runs have ended"
            ),
            None => {
                let new = old.steps.iter().find_map(|step| self.here.stage_with(&step.name));
                let new = new.map(ToString::to_string).unwrap_or_default();
                format!(
                    "it needs `{old}` (stage {stage} of its list), which stands in the pipeline `{pipeline}` as `{new}` \
                     here: give the old form back, or run the old program until its runs have ended"
                )
            }
        }))
    }

    /// What is said of a run that stands at the stage, which the code has: what was handed on to it is stored already, and
    /// of several members some may have finished.
    fn arrival(&self, stage: usize) -> Option<Text> {
        let (old, new) = (&self.stages[stage], self.found(stage)?);
        let given = match stage.checked_sub(1) {
            Some(before) => &self.stages[before].hands_on,
            None => &old.takes,
        };
        if *given != new.takes {
            return Some(self.type_differs(&format!("`{old}` gets a `{given}`"), stage, &new.takes));
        }
        if old.form != ListedForm::One && old.hands_on != new.hands_on {
            let what = format!("`{old}` hands on `{}`", old.hands_on);
            return Some(self.type_differs(&what, stage, &new.hands_on));
        }
        None
    }

    /// What is said of a run that comes to the stage by the code: what the stage before hands on then is not what it takes.
    fn seam(&self, stage: usize) -> Option<Text> {
        let (before, new) = (self.found(stage.checked_sub(1)?)?, self.found(stage)?);
        (before.hands_on != new.takes).then(|| {
            let what = format!("`{}` gets a `{}`", self.stages[stage], before.hands_on);
            self.type_differs(&what, stage, &new.takes)
        })
    }

    /// What is said of a run that undoes the stage, which the code has: what it handed on is stored already.
    fn outcome(&self, stage: usize) -> Option<Text> {
        let (old, new) = (&self.stages[stage], self.found(stage)?);
        let what = || format!("`{old}` hands on `{}`", old.hands_on);
        (old.hands_on != new.hands_on).then(|| self.type_differs(&what(), stage, &new.hands_on))
    }

    fn end(&self) -> Option<Text> {
        let last = self.stages.len().checked_sub(1)?;
        let (new, own) = (self.found(last)?, self.here.list.stages.last()?);
        (new.hands_on != own.hands_on).then(|| {
            let what = format!("it ends with a `{}`, and a run waits for it", new.hands_on);
            self.type_differs(&what, last, &own.hands_on)
        })
    }

    fn type_differs(&self, what: &str, stage: usize, here: &Text) -> Text {
        Text::from(format!(
            "in its list {what} (stage {stage}), and in the pipeline `{}` that is a `{here}` here: give the old type back, \
             declare the new list beside the old one as `#[pipeline(version = …)]`, or run the old program until its runs \
             have ended",
            self.here.pipeline
        ))
    }
}

/// A step's name without the number that it has when it stands in the list more than once.
fn numbered(name: &str) -> (&str, &str) {
    name.split_once('#').unwrap_or((name, ""))
}

#[cfg(test)]
mod tests;
