//! Which pipelines and steps are linked into this program.

#![allow(
    unsafe_code,
    reason = "linkme places the elements of a slice by `link_section`, which counts as unsafe"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use linkme::distributed_slice;

use crate::error::Error;
use crate::model::{Definition, Plan, StepPolicy};
use crate::pipeline::PipelineDefinition;
use crate::step::{Resources, StepDefinition};

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

/// A pipeline that an orchestrator knows.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) pipeline: &'static PipelineDefinition,
    pub(crate) plan: Arc<Plan>,
}

/// The pipelines that an orchestrator knows, by name.
#[derive(Debug)]
pub(crate) struct Catalog {
    defaults: StepPolicy,
    known: RwLock<BTreeMap<&'static str, Arc<Known>>>,
}

impl Catalog {
    /// A catalogue of these pipelines.
    pub(crate) fn new(
        pipelines: &[&'static PipelineDefinition],
        defaults: StepPolicy,
    ) -> Result<Self, Error> {
        let catalog = Self { defaults, known: RwLock::default() };
        pipelines.iter().try_for_each(|pipeline| catalog.add(pipeline))?;
        Ok(catalog)
    }

    /// Adds a pipeline and those that its steps run, unless they are there already.
    pub(crate) fn add(&self, pipeline: &'static PipelineDefinition) -> Result<(), Error> {
        if self.insert(pipeline)? {
            // Those that its steps run, which may run it again.
            pipeline.children().try_for_each(|child| self.add(child))?;
        }
        Ok(())
    }

    /// Whether it was not there.
    fn insert(&self, pipeline: &'static PipelineDefinition) -> Result<bool, Error> {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        match known.get(pipeline.name()) {
            None => {
                let plan = pipeline.plan(&self.defaults);
                known.insert(pipeline.name(), Arc::new(Known { pipeline, plan }));
                Ok(true)
            }
            Some(other) if std::ptr::eq(other.pipeline, pipeline) => Ok(false),
            Some(other) => Err(Error::DuplicateName {
                name: pipeline.name(),
                first: other.pipeline.declared_in(),
                second: pipeline.declared_in(),
            }),
        }
    }

    /// The pipeline that runs of this definition execute.
    pub(crate) fn find(&self, definition: &Definition) -> Option<Arc<Known>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(definition.pipeline.as_str()).filter(|known| known.plan.definition == *definition).cloned()
    }

    /// What the runs of the known pipelines are stored under.
    pub(crate) fn definitions(&self) -> Arc<[Definition]> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.values().map(|known| known.plan.definition.clone()).collect()
    }

    /// Whether there is something to run, and all that it needs.
    pub(crate) fn check(&self, resources: &Resources) -> Result<(), Error> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if known.is_empty() {
            return Err(Error::NoPipelines);
        }
        known.values().try_for_each(|known| check_resources(known, resources))
    }
}

fn check_resources(known: &Known, resources: &Resources) -> Result<(), Error> {
    match known.pipeline.resources().find(|(_, wanted)| !resources.has(*wanted)) {
        None => Ok(()),
        Some((step, missing)) => Err(Error::MissingResource {
            pipeline: known.pipeline.name(),
            step: step.to_string(),
            resource: missing.name(),
        }),
    }
}
