use std::collections::BTreeMap;
#[cfg(feature = "cron")]
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use super::{Judgement, Known, Match};
use crate::error::Error;
#[cfg(feature = "cron")]
use crate::model::ScheduleSpec;
use crate::model::{Definition, Limits, StepList, StepPolicy, Text};
use crate::pipeline::PipelineDefinition;
#[cfg(feature = "cron")]
use crate::schedule::{check, scheduler};
use crate::step::Resources;

/// The pipelines that an orchestrator knows.
#[derive(Debug)]
pub(crate) struct Catalog {
    defaults: StepPolicy,
    known: RwLock<Pipelines>,
}

#[derive(Debug, Default)]
struct Pipelines {
    /// Those of the program, by name and version.
    own: BTreeMap<(&'static str, u32), Arc<Known>>,
    /// The same, and runs of other lists that go on here, by what they are stored under.
    by_definition: BTreeMap<Definition, Arc<Known>>,
    /// Of the newest version of each that has some.
    limits: Arc<BTreeMap<Text, Limits>>,
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
        check_name(pipeline)?;
        #[cfg(feature = "cron")]
        check_schedule(pipeline)?;
        let name = (pipeline.name(), pipeline.which_version());
        if let Some(other) = self.read().own.get(&name) {
            return same_or_duplicate(other.pipeline, pipeline).map(|()| false);
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(other) = known.own.get(&name) {
            return same_or_duplicate(other.pipeline, pipeline).map(|()| false);
        }
        if let Some(step) = pipeline.rated_among_many() {
            return Err(Error::RateAmongMany { pipeline: pipeline.name(), step });
        }
        let own = Arc::new(Known::own(pipeline, &self.defaults));
        known.by_definition.insert(own.plan.definition.clone(), own.clone());
        known.own.insert(name, own);
        #[cfg(feature = "cron")]
        known.schedule(pipeline, &self.defaults);
        known.limits = Arc::new(known.limits_of_newest());
        Ok(true)
    }

    /// What is known about runs of this definition.
    pub(crate) fn find(&self, definition: &Definition) -> Option<Arc<Known>> {
        self.read().by_definition.get(definition).cloned()
    }

    /// What the runs are stored under that this orchestrator goes on with.
    pub(crate) fn definitions(&self) -> Arc<[Definition]> {
        self.read().by_definition.keys().cloned().collect()
    }

    /// The limits of those, by the pipelines' names. Of several versions of one the newest counts.
    pub(crate) fn limits(&self) -> Arc<BTreeMap<Text, Limits>> {
        self.read().limits.clone()
    }

    /// How many pipelines the program has: what was judged once is to be judged again when it has more.
    pub(crate) fn pipelines(&self) -> usize {
        self.read().own.len()
    }

    /// What is to be thought of a definition that runs were started with.
    pub(crate) fn judge(&self, definition: &Definition) -> Judgement {
        let known = self.read();
        let name = &definition.pipeline;
        let versions: Vec<u32> =
            known.own.keys().filter(|(own, _)| name == own).map(|(_, version)| *version).collect();
        if versions.is_empty() {
            return Judgement::Foreign;
        }
        let Some(list) = StepList::of(definition) else { return Judgement::Differs(unreadable(name)) };
        let same_version =
            known.own.iter().find(|((own, version), _)| name == own && *version == list.version);
        match same_version {
            Some((_, own)) => own.judge(&list, &self.defaults),
            None => Judgement::Differs(other_version(name, list.version, &versions)),
        }
    }

    /// Goes on, from now on, with runs that are stored under what this match says. Says whether that is new.
    pub(crate) fn learn(&self, found: &Match) -> bool {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let is_new = !known.by_definition.contains_key(&found.adopted);
        if is_new {
            known.by_definition.insert(found.adopted.clone(), found.known.clone());
        }
        is_new
    }

    /// Whether there is something to run, and all that it needs.
    pub(crate) fn check(&self, resources: &Resources) -> Result<(), Error> {
        let known = self.read();
        if known.own.is_empty() {
            return Err(Error::NoPipelines);
        }
        known.own.values().try_for_each(|known| check_resources(known, resources))
    }

    fn read(&self) -> RwLockReadGuard<'_, Pipelines> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What begins like this is prorch's own.
const RESERVED: &str = "prorch.";

fn check_name(pipeline: &'static PipelineDefinition) -> Result<(), Error> {
    if pipeline.name().starts_with(RESERVED) {
        return Err(Error::ReservedName { name: pipeline.name(), declared_in: pipeline.declared_in() });
    }
    Ok(())
}

#[cfg(feature = "cron")]
impl Catalog {
    /// The schedules that its pipelines are declared with; of several versions of a pipeline the latest counts.
    pub(crate) fn schedules(&self) -> Result<Vec<ScheduleSpec>, Error> {
        let known = self.read();
        let latest =
            known.own.values().map(|known| known.pipeline).filter(|pipeline| !known.has_later(pipeline));
        let declared =
            latest.filter_map(|pipeline| pipeline.schedule().map(|schedule| schedule.spec(pipeline.name())));
        Ok(declared.collect::<Result<_, _>>()?)
    }

    /// What schedules of the pipeline with this name are stored under.
    pub(crate) fn scheduler(&self, pipeline: &str) -> Option<Definition> {
        let known = self.read();
        let mut named = known.own.values().filter(|known| known.pipeline.name() == pipeline);
        named.next().map(|known| scheduler(known.pipeline).key())
    }
}

#[cfg(feature = "cron")]
impl Pipelines {
    /// Whether there is a later version of it.
    fn has_later(&self, pipeline: &PipelineDefinition) -> bool {
        let (from, to) = ((pipeline.name(), pipeline.which_version()), (pipeline.name(), u32::MAX));
        self.own.range((Bound::Excluded(from), Bound::Included(to))).next().is_some()
    }

    /// Goes on with schedules of this pipeline, unless a later version of it does.
    fn schedule(&mut self, pipeline: &'static PipelineDefinition, defaults: &StepPolicy) {
        if !self.has_later(pipeline) {
            let scheduler = Arc::new(Known::own(scheduler(pipeline), defaults));
            self.by_definition.insert(scheduler.plan.definition.clone(), scheduler);
        }
    }
}

#[cfg(feature = "cron")]
fn check_schedule(pipeline: &'static PipelineDefinition) -> Result<(), Error> {
    let Some(schedule) = pipeline.schedule() else { return Ok(()) };
    let name = pipeline.name();
    check(&schedule.spec(name)?).map_err(|why| Error::Schedule { name: name.to_owned(), why })
}

impl Pipelines {
    /// The versions come in order.
    fn limits_of_newest(&self) -> BTreeMap<Text, Limits> {
        let newest: BTreeMap<&str, &Known> =
            self.own.iter().map(|((name, _), known)| (*name, &**known)).collect();
        let limits = newest.into_iter().map(|(name, known)| (Text::from(name), known.pipeline.limits()));
        limits.filter(|(_, limits)| !limits.is_empty()).collect()
    }
}

fn same_or_duplicate(
    first: &'static PipelineDefinition,
    second: &'static PipelineDefinition,
) -> Result<(), Error> {
    if std::ptr::eq(first, second) {
        return Ok(());
    }
    Err(Error::DuplicateName { name: first.name(), first: first.declared_in(), second: second.declared_in() })
}

fn unreadable(pipeline: &str) -> Text {
    Text::from(format!(
        "it was started with another list of steps than the pipeline `{pipeline}` has here, and that list is not stored \
         or can't be read: run it by the program that started it"
    ))
}

fn other_version(pipeline: &str, version: u32, here: &[u32]) -> Text {
    let here: Vec<String> = here.iter().map(ToString::to_string).collect();
    Text::from(format!(
        "it is of version {version} of the pipeline `{pipeline}`, and here is version {}: declare the old list beside the \
         new one as `#[pipeline(name = \"{pipeline}\", version = {version}, …)]`, or run the old program until its runs \
         have ended",
        here.join(" and ")
    ))
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
