//! What the journal says, counted and judged.

use std::collections::{BTreeMap, BTreeSet};

use prorch_core::repository::RunId;

use super::journal::{Does, Effect};
use super::scene::Scene;

/// What the journal says of each step of each run.
#[derive(Debug)]
pub struct Tally<'a> {
    effects: &'a [Effect],
    /// The calls that a run makes, in order, when nothing happens to it.
    steps: &'a [(&'a str, u32)],
    calls: BTreeMap<Call<'a>, Vec<&'a Effect>>,
}

/// A call of a step that is made once when nothing happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Call<'a> {
    run: RunId,
    step: &'a str,
    asked: u32,
}

impl<'a> Tally<'a> {
    /// Sorts what the journal says by calls; each has its lines in the order in which they were written. `steps` are the
    /// calls that a run makes, in order: the step's name, and how often it had answered *pending* before.
    #[must_use]
    pub fn of(effects: &'a [Effect], steps: &'a [(&'a str, u32)]) -> Self {
        let mut calls: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for effect in effects {
            let call = Call { run: effect.run, step: &effect.step, asked: effect.asked };
            calls.entry(call).or_default().push(effect);
        }
        Self { effects, steps, calls }
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

    /// So many runs came through all of their calls, and none was made twice.
    ///
    /// # Panics
    ///
    /// When that is not so.
    pub fn assert_undisturbed(&self, runs: usize) {
        self.assert_accounted(&BTreeSet::new());
        self.assert_complete(runs);
    }

    /// Everything came to its end once, but for what these processes did before they were killed: no call was made beside
    /// another one of its run, none after its answer was committed, and none was lost.
    ///
    /// A process that was killed may have answered without a commit, or not at all; nothing else is made twice.
    ///
    /// # Panics
    ///
    /// When that is not so.
    pub fn assert_accounted(&self, killed: &BTreeSet<u32>) {
        self.assert_calls_accounted(killed);
        self.assert_in_order();
    }

    /// The same, for runs whose calls are made side by side: they have no order.
    ///
    /// # Panics
    ///
    /// When that is not so.
    pub fn assert_calls_accounted(&self, killed: &BTreeSet<u32>) {
        for (call, effects) in &self.calls {
            if let Err(why) = account(effects, killed) {
                panic!("{call:?}: {why}: {effects:#?}\nkilled: {killed:?}");
            }
        }
    }

    /// No run did anything of a step after it had come to the next one.
    fn assert_in_order(&self) {
        let mut places: BTreeMap<RunId, usize> = BTreeMap::new();
        for effect in self.effects {
            let steps = &self.steps;
            let place = steps.iter().position(|(step, asked)| *step == effect.step && *asked == effect.asked);
            let place = place.expect("all steps are in the list");
            let reached = places.entry(effect.run).or_insert(place);
            assert!(*reached <= place, "{effect:?} came after {:?} of its run", steps[*reached]);
            *reached = place;
        }
    }

    /// How many different calls of this step were made, over all runs.
    #[must_use]
    pub fn calls_of(&self, step: &str) -> usize {
        self.calls.keys().filter(|call| call.step == step).count()
    }

    /// So many runs came through all of their calls.
    ///
    /// # Panics
    ///
    /// When that is not so.
    pub fn assert_complete(&self, runs: usize) {
        assert_eq!(self.calls.len(), runs * self.steps.len(), "calls that were ever made");
    }
}

/// Whether the lines of one call tell of nothing that is forbidden.
fn account(effects: &[&Effect], killed: &BTreeSet<u32>) -> Result<(), &'static str> {
    let mut open: Option<&Effect> = None;
    let mut last: Option<&Effect> = None;
    for effect in effects {
        match effect.does {
            Does::Begins => {
                if open.is_some_and(|other| !killed.contains(&other.pid)) {
                    return Err("it began beside another call");
                }
                if last.is_some_and(|other| other.does != Does::Errs && !killed.contains(&other.pid)) {
                    return Err("it began after its answer");
                }
                open = Some(effect);
            }
            _ if open.is_none_or(|other| other.pid != effect.pid) => {
                return Err("it ended beside another call");
            }
            _ => {
                open = None;
                last = Some(effect);
            }
        }
    }
    match (open, last) {
        (None, Some(last)) if last.does != Does::Errs => Ok(()),
        _ => Err("it was never answered"),
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
