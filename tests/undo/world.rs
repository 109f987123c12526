//! What reached the world outside, and how often it must have.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use prorch::Status;
use prorch::prelude::*;
use prorch::repository::{Repository, StepRecord, StoredRun};
use prorch_testkit::crash_sweep;
use prorch_testkit::sweep::Swept;

/// How often each call was made, by its idempotency key without the run.
pub(crate) type Counts = BTreeMap<String, u32>;

#[derive(Clone, Debug, Default)]
pub(crate) struct World(Arc<Mutex<Effects>>);

#[derive(Clone, Debug, Default)]
pub(crate) struct Effects {
    pub(crate) now: Counts,
    /// What was done when the last worker began.
    pub(crate) before: Counts,
    /// The keys of what was undone, in the order in which it was tried first.
    pub(crate) undone: Vec<String>,
}

impl World {
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Effects) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Does what this call does once more, and says how often it was done.
    pub(crate) fn does(&self, cx: &StepContext) -> u32 {
        let (run, key) = (cx.run_id().to_string(), cx.idempotency_key().to_string());
        let key = key
            .strip_prefix(&run)
            .and_then(|key| key.strip_prefix(':'))
            .expect("it names the run")
            .to_owned();
        self.with(|effects| {
            if key.ends_with("/undo") && !effects.undone.contains(&key) {
                effects.undone.push(key.clone());
            }
            let count = effects.now.entry(key).or_default();
            *count += 1;
            *count
        })
    }

    pub(crate) fn a_worker_begins(&self) {
        self.with(|effects| effects.before = effects.now.clone());
    }
}

/// Whether the call with this key came to its end by what is stored.
fn is_committed(stored: &[StoredRun], key: &str) -> bool {
    let (step, undoes) = key.strip_suffix("/undo").map_or((key, false), |step| (step, true));
    let records = stored.iter().flat_map(|stored| stored.records.values());
    let mut found = records.filter(|record| step == record.name.as_str() || step == key_of_item(record));
    found.any(|record| match &record.undo {
        undo if undoes => undo.as_ref().is_some_and(|undo| undo.status.is_terminal()),
        _ => record.status.is_terminal(),
    })
}

fn key_of_item(record: &StepRecord) -> String {
    format!("{}[{}]", record.name, record.position.item)
}

/// How often each call must have been made: what was done before the worker died, and what was to do then. `calls` says how
/// often each is made when nothing happens: once, or twice where it errs the first time.
fn expected(swept: &Swept, before: &Counts, calls: &Counts) -> Counts {
    let at_death = swept.at_death.as_deref().unwrap_or_default();
    let of = |(key, count): (&String, &u32)| {
        let done = before.get(key).copied().unwrap_or_default();
        let to_do = if is_committed(at_death, key) {
            0
        } else if done == 0 {
            *count
        } else {
            1
        };
        (key.clone(), done + to_do)
    };
    calls.iter().map(of).collect()
}

/// Sweeps over `P` with this input: every call was made as often as it must have been, and `check` looks at the end.
/// Returns how many faults happened.
pub(crate) async fn sweep<P, R>(
    open: impl AsyncFn() -> R,
    input: P::Input,
    calls: &Counts,
    mut check: impl FnMut(&Swept, &Effects),
) -> u64
where
    P: prorch::Pipeline,
    P::Input: Clone + std::fmt::Debug,
    R: Repository,
{
    let world = World::default();
    let begin = |builder: prorch::OrchestratorBuilder| {
        world.a_worker_begins();
        builder.resource(world.clone())
    };
    crash_sweep::<P, R>(open, vec![input.clone()], begin, |swept| {
        let what = format!("{:?} at write {} of {input:?}", swept.fault, swept.write);
        let effects = world.with(std::mem::take);
        assert_eq!(effects.now, expected(swept, &effects.before, calls), "{what}: {swept:#?}");
        assert_eq!(swept.at_death.is_some(), swept.fault.kills() && swept.happened, "{what}");
        assert!(swept.fault.kills() || effects.now == *calls, "{what}: done again");
        check(swept, &effects);
    })
    .await
}

/// How often these calls are made.
pub(crate) fn counts<'k>(calls: impl IntoIterator<Item = (&'k str, u32)>) -> Counts {
    calls.into_iter().map(|(key, count)| (key.to_owned(), count)).collect()
}

/// The run that was started first.
pub(crate) fn of<'s>(stored: &'s [StoredRun], pipeline: &str) -> &'s StoredRun {
    let mut found = stored.iter().filter(|stored| stored.run.definition.pipeline == *pipeline);
    let (run, more) = (found.next().expect("the run is there"), found.next());
    assert_eq!(more, None, "one run");
    run
}

/// How each step was undone.
pub(crate) fn undone(stored: &StoredRun) -> Vec<Option<Status>> {
    stored.records.values().map(|record| record.undo.as_ref().map(|undo| undo.status)).collect()
}
