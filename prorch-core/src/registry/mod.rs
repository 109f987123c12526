//! Which pipelines and steps are linked into this program.

#![allow(
    unsafe_code,
    reason = "linkme places the elements of a slice by `link_section`, which counts as unsafe"
)]

mod catalog;
mod known;

use linkme::distributed_slice;

use crate::pipeline::PipelineDefinition;
use crate::step::StepDefinition;

pub(crate) use catalog::Catalog;
pub(crate) use known::{Judgement, Known, Match};

/// Every pipeline that is linked into this program. `#[pipeline]` adds to it.
#[distributed_slice]
pub static PIPELINES: [fn() -> Option<&'static PipelineDefinition>];

/// Every step that is linked into this program. `#[step]` adds to it.
#[distributed_slice]
pub static STEPS: [fn() -> Option<StepEntry>];

/// An empty slice breaks some linkers: each has one element of our own, which says nothing.
#[distributed_slice(PIPELINES)]
static NO_PIPELINE: fn() -> Option<&'static PipelineDefinition> = || None;

/// See [`NO_PIPELINE`].
#[distributed_slice(STEPS)]
static NO_STEP: fn() -> Option<StepEntry> = || None;

/// A step in the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StepEntry {
    /// The path of the module that declares it.
    pub declared_in: &'static str,
    /// The name of its records.
    pub name: &'static str,
}

impl StepEntry {
    /// The entry of a step that is declared in the module with this path.
    #[must_use]
    pub const fn of<S: StepDefinition>(declared_in: &'static str) -> Self {
        Self { declared_in, name: S::NAME }
    }
}

/// All steps that are linked into this program, sorted by module and name.
///
/// A crate that the program never names is dropped by the linker without a word, and its steps with it: write
/// `use that_crate as _;`.
#[must_use]
pub fn steps() -> Vec<StepEntry> {
    let mut steps: Vec<StepEntry> = STEPS.iter().filter_map(|step| step()).collect();
    steps.sort();
    steps
}

/// All pipelines that are linked into this program, sorted by module and name. What [`steps`] says about crates that
/// are never named holds here too.
#[must_use]
pub fn pipelines() -> Vec<&'static PipelineDefinition> {
    let mut pipelines: Vec<_> = PIPELINES.iter().filter_map(|pipeline| pipeline()).collect();
    pipelines.sort_by_key(|pipeline| (pipeline.declared_in(), pipeline.name()));
    pipelines
}
