//! What the journal says, counted and judged.

use std::collections::{BTreeMap, BTreeSet};

use prorch_core::repository::RunId;

use super::journal::{Does, Effect};
use super::scene::Scene;

/// What the journal says of each step of each run.
#[derive(Debug)]
pub struct Tally<'a> {
    effects: &'a [Effect],
    steps: BTreeMap<(RunId, &'a str), Vec<&'a Effect>>,
}

impl<'a> Tally<'a> {
    /// Sorts what the journal says by run and step; each has its lines in the order in which they were written.
    #[must_use]
    pub fn of(effects: &'a [Effect]) -> Self {
        let mut steps: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for effect in effects {
            steps.entry((effect.run, effect.step.as_str())).or_default().push(effect);
        }
        Self { effects, steps }
    }

    /// How often a step was finished.
    #[must_use]
    pub fn finished(&self) -> usize {
        self.count(Does::Finishes)
    }

    /// How often something was done.
    #[must_use]
    pub fn count(&self, does: Does) -> usize {
        self.effects.iter().filter(|effect| effect.does == does).count()
    }

    /// In how many processes.
    #[must_use]
    pub fn processes(&self) -> usize {
        self.effects.iter().map(|effect| effect.pid).collect::<BTreeSet<_>>().len()
    }

    /// Each of these steps of so many runs began once and finished once, and nothing else was done.
    ///
    /// # Panics
    ///
    /// When that is not so.
    pub fn assert_undisturbed(&self, runs: usize, steps: &[&str]) {
        assert_eq!(self.steps.len(), runs * steps.len(), "steps of runs that did anything");
        for ((run, step), effects) in &self.steps {
            let does: Vec<Does> = effects.iter().map(|effect| effect.does).collect();
            assert!(steps.contains(step), "run {run} has a step {step}");
            assert_eq!(does, [Does::Begins, Does::Finishes], "step {step} of run {run}: {effects:#?}");
        }
    }
}

/// No worker logged anything about locks for everybody to hear.
///
/// # Panics
///
/// When one did.
pub fn assert_quiet(scene: &Scene) {
    let logs = scene.logs();
    assert!(!logs.is_empty(), "the workers log");
    let loud = logs.iter().filter(|(_, line)| line.is_above_debug());
    let about_locks: Vec<_> = loud
        .filter(|(_, line)| {
            let text = line.text.to_lowercase();
            text.contains("locked") || text.contains("busy")
        })
        .collect();
    assert!(about_locks.is_empty(), "{about_locks:#?}");
}
