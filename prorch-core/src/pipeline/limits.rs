//! The limits that a pipeline and its steps declare.

use super::{Member, PipelineDefinition, Stage};
use crate::model::{Begins, Cap, Limits, Text};

impl PipelineDefinition {
    /// The same, of which at most so many runs run at a time: in all, or for each value that is pinned to them under this
    /// name.
    #[must_use]
    pub fn max_running(self, most: u32, per: Option<&'static str>) -> Self {
        Self { running: Some(Cap { most: most.max(1), per: per.map(Text::from) }), ..self }
    }

    /// The same, of which workers hold at most so many runs at a time.
    #[must_use]
    pub fn max_calls(self, most: u32, per: Option<&'static str>) -> Self {
        Self { calls: Some(Cap { most: most.max(1), per: per.map(Text::from) }), ..self }
    }

    /// What its runs have to respect.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let rated = self.members().filter_map(Member::rated);
        let rates = rated.map(|rated| (rated.key, rated.rate)).collect();
        Limits { running: self.running.clone(), calls: self.calls.clone(), rates }
    }

    /// A step with a rate that does not stand alone in its stage: a claim begins one start, not many.
    pub(crate) fn rated_among_many(&self) -> Option<&'static str> {
        let many = self.stages.iter().filter(|stage| stage.alone().is_none());
        many.flat_map(Stage::members).find(|member| member.rated().is_some()).map(Member::name)
    }

    /// What its limits look at when a run of it is started.
    pub(crate) fn begins(&self) -> Begins {
        let caps = self.running.iter().chain(&self.calls);
        let starts = self.stages.first().and_then(|stage| Some(stage.alone()?.rated()?.key));
        Begins { starts, per: caps.filter_map(|cap| cap.per.clone()).collect() }
    }
}
