//! The list of steps that a run was started with, as a value that is stored beside the run.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Definition, Text, UndoOn};

/// The version of a pipeline that says nothing about its version.
pub const FIRST_VERSION: u32 = 1;

/// A pipeline's list of steps: names, forms and types, without code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepList {
    /// Which version of the pipeline it is.
    pub version: u32,
    /// Its stages, in order.
    pub stages: Vec<ListedStage>,
    /// After what ends its runs are undone.
    #[serde(default, skip_serializing_if = "UndoOn::is_never")]
    pub undo: UndoOn,
}

/// A stage in a [`StepList`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedStage {
    /// How its members come about.
    pub form: ListedForm,
    /// Its members, in order.
    pub steps: Vec<ListedStep>,
    /// The type that it takes what was handed on as. A type is told by its name without the module that it is in.
    pub takes: Text,
    /// The type that it hands on.
    pub hands_on: Text,
}

/// How the members of a [`ListedStage`] come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ListedForm {
    /// One step.
    One,
    /// The steps that are named, side by side.
    Group,
    /// One step for each item of a list.
    Each,
}

/// A member of a [`ListedStage`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedStep {
    /// The name of its records.
    pub name: Text,
    /// What it is.
    pub kind: ListedKind,
}

/// What a [`ListedStep`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ListedKind {
    /// A step that is called.
    Step,
    /// A run of another pipeline.
    Run,
}

impl StepList {
    /// The list of a definition, if it has one that can be read.
    #[must_use]
    pub fn of(definition: &Definition) -> Option<Self> {
        serde_json::from_str(&definition.list).ok()
    }

    /// What runs of the pipeline with this name are stored under that are started with this list.
    #[must_use]
    pub fn definition(&self, pipeline: &str) -> Definition {
        let fingerprint = fingerprint(self.said().iter().map(String::as_str));
        Definition { list: self.to_json(), ..Definition::new(pipeline, fingerprint) }
    }

    /// What runs of the pipeline with this name are stored under that were started with this list, and that a program goes
    /// on with whose own list is `here`.
    #[must_use]
    pub fn adopted(&self, pipeline: &str, here: &Self) -> Definition {
        let own = here.definition(pipeline);
        if self.said() == here.said() {
            return own;
        }
        let own = format!("{:016x}", own.fingerprint);
        let said = self.said();
        let parts = said.iter().map(String::as_str).chain(["as", &own]);
        Definition { list: self.to_json(), ..Definition::new(pipeline, fingerprint(parts)) }
    }

    /// What the fingerprint covers: version, stages, and whether its runs are undone. Not the types: whether those fit is seen where they are read.
    fn said(&self) -> Vec<String> {
        let version = (self.version != FIRST_VERSION).then(|| format!("version {}", self.version));
        let undo = (!self.undo.is_never()).then(|| self.undo.to_string());
        version.into_iter().chain(undo).chain(self.stages.iter().map(ToString::to_string)).collect()
    }

    fn to_json(&self) -> Text {
        // Names and numbers alone can't fail to be encoded.
        Text::from(serde_json::to_string(self).unwrap_or_default())
    }
}

impl fmt::Display for ListedStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps: Vec<String> = self.steps.iter().map(ToString::to_string).collect();
        let steps = steps.join(", ");
        match self.form {
            ListedForm::One => f.write_str(&steps),
            ListedForm::Group => write!(f, "[{steps}]"),
            ListedForm::Each => write!(f, "each({steps})"),
        }
    }
}

impl fmt::Display for ListedStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ListedKind::Step => f.write_str(&self.name),
            ListedKind::Run => write!(f, "run({})", self.name),
        }
    }
}

/// The 64-bit FNV-1a hash (Fowler, Noll, Vo) of these, each ended by a zero byte: it stays the same from build to build.
pub(super) fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a str>) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for part in parts {
        for byte in part.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

/// The name of a type without the modules that it and its parameters are in, so that a type which is moved stays the same.
#[must_use]
pub fn type_name<T: ?Sized>() -> Text {
    let mut short = String::new();
    for word in std::any::type_name::<T>().split_inclusive(|letter| !is_of_path(letter)) {
        let (path, end) = match word.char_indices().last() {
            Some((at, letter)) if !is_of_path(letter) => word.split_at(at),
            _ => (word, ""),
        };
        short.push_str(path.rsplit("::").next().unwrap_or(path));
        short.push_str(end);
    }
    Text::from(short)
}

fn is_of_path(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_' || letter == ':'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str) -> ListedStage {
        let steps = vec![ListedStep { name: name.into(), kind: ListedKind::Step }];
        ListedStage { form: ListedForm::One, steps, takes: "u64".into(), hands_on: "u64".into() }
    }

    fn list(version: u32, names: &[&str]) -> StepList {
        StepList { version, stages: names.iter().map(|name| step(name)).collect(), undo: UndoOn::NEVER }
    }

    #[test]
    fn a_list_is_read_as_it_was_written() {
        let mut written = list(2, &["a", "b"]);
        written.stages[1].form = ListedForm::Each;
        written.stages[1].steps[0].kind = ListedKind::Run;
        let definition = written.definition("p");
        assert_eq!(StepList::of(&definition), Some(written));
        assert_eq!(StepList::of(&Definition::new("p", 1)), None);
    }

    #[test]
    fn the_fingerprint_covers_the_version_and_no_types() {
        let first = list(1, &["a"]).definition("p");
        assert_eq!(first, super::super::definition_key("p", ["a"]), "the first version says nothing");
        assert_ne!(first, list(2, &["a"]).definition("p"));
        let mut other_types = list(1, &["a"]);
        other_types.stages[0].takes = "String".into();
        assert_eq!(other_types.definition("p"), first);
    }

    #[test]
    fn adopted_runs_are_told_apart_by_both_lists_and_a_way_back_leads_to_the_start() {
        let (old, new, third) = (list(1, &["a"]), list(1, &["a", "b"]), list(1, &["c"]));
        let adopted = old.adopted("p", &new);
        let all = [old.definition("p"), new.definition("p"), adopted.clone(), old.adopted("p", &third)];
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        assert_eq!(StepList::of(&adopted), Some(old.clone()));
        assert_eq!(StepList::of(&adopted).map(|list| list.adopted("p", &old)), Some(old.definition("p")));
    }

    #[test]
    fn a_type_is_told_by_its_name_without_modules() {
        assert_eq!(type_name::<u64>(), "u64");
        assert_eq!(type_name::<Vec<Option<String>>>(), "Vec<Option<String>>");
        assert_eq!(type_name::<(StepList, [u8; 2])>(), "(StepList, [u8; 2])");
        assert_eq!(type_name::<()>(), "()");
        assert_eq!(type_name::<&'static str>(), "&str");
    }
}
