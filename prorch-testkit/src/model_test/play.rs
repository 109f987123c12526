//! One sequence of actions: played, looked at after each, and brought to rest.

use std::collections::BTreeMap;
use std::time::Duration;

use prorch_core::model::{Mail, StepRecord};
use prorch_core::repository::{Repository, RunId, StoredRun};

use super::action::Action;
use super::follow::{Follow, is_at_rest};
use super::oracle::{End, Told};
use super::script::Name;
use super::world::World;

/// What was wrong, and after how many actions.
#[derive(Clone, Debug)]
pub(super) struct Wrong {
    pub(super) after: usize,
    pub(super) what: Vec<String>,
}

/// How much was done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Done {
    pub(super) actions: usize,
    pub(super) runs: usize,
    pub(super) calls: usize,
}

/// Plays actions on a new repository.
pub(super) async fn play<R: Repository>(repository: R, actions: &[Action]) -> Result<Done, Wrong> {
    let mut world = World::new(repository);
    for (number, action) in actions.iter().enumerate() {
        world.act(*action).await;
        world.check(number + 1)?;
    }
    world.rest().await;
    world.check(actions.len())?;
    world.check_ends();
    world.check(actions.len())?;
    let calls = world.scene.journal(|journal| journal.calls.len());
    Ok(Done { actions: actions.len(), runs: world.runs.len(), calls })
}

/// After so much time runs that are not at rest are said never to come to rest.
const PATIENCE: u32 = 60;

impl<R: Repository> World<R> {
    /// Mends all that is in the way of the workers, and lets time pass until nothing more happens by itself.
    async fn rest(&mut self) {
        self.scene.release_all();
        self.teller.faults().heal();
        for worker in self.workers.iter_mut().flatten() {
            worker.own.faults().heal();
            worker.own.thaw();
        }
        self.settle().await;
        self.arrive().await;
        for worker in 0..self.workers.len() {
            self.act(Action::Boot(worker, 0)).await;
        }
        for _ in 0..PATIENCE {
            if self.runs.iter().all(|(run, _)| is_at_rest(&self.store.whole(*run))) {
                break;
            }
            self.pass(Duration::from_secs(10)).await;
        }
        self.pass(Duration::from_secs(1)).await;
    }

    /// What was wrong so far, and whether what is stored is what was seen.
    fn check(&self, after: usize) -> Result<(), Wrong> {
        for run in self.scene.journal(|journal| std::mem::take(&mut journal.touched)) {
            if self.scene.journal(|journal| journal.lives.contains_key(&run)) {
                self.check_stored(run);
            }
        }
        self.store.keeps_its_limits();
        let what = self.scene.journal(|journal| std::mem::take(&mut journal.wrong));
        if what.is_empty() { Ok(()) } else { Err(Wrong { after, what }) }
    }

    fn check_stored(&self, run: RunId) {
        let (stored, twin) = (self.store.whole(run), self.store.twin(run));
        if stored != twin {
            self.scene.wrong(format!("P12: {stored:?} is stored, and in memory {twin:?}"));
        }
        let differs = self.scene.journal(|journal| {
            let life = &journal.lives[&run];
            let holder = stored.run.lease.map(|lease| lease.holder);
            let same = (life.status, life.paused, life.epoch, life.holder())
                == (stored.run.status(), stored.run.state.paused, stored.run.epoch.0, holder);
            let of_records = |stored: &StoredRun| {
                let seen = life.records.iter().map(|(at, record)| (*at, record.status));
                let stored = stored.records.iter().map(|(at, record)| (*at, record.status));
                seen.eq(stored)
            };
            let waiting = life.inbox.iter().filter(|mail| !mail.taken).map(|mail| mail.id);
            let mail = waiting.eq(stored.inbox.iter().map(|message| message.id));
            (!same || !of_records(&stored) || !mail).then(|| format!("{life:?}"))
        });
        if let Some(seen) = differs {
            self.scene.wrong(format!("P3: {stored:?} is stored, and was never written: {seen}"));
        }
    }

    /// Every run stands as it may, by its script and by what it was told; and none is lost, or there twice.
    fn check_ends(&self) {
        let stored: Vec<RunId> = self.store.runs().runs.iter().map(|run| run.id).collect();
        let started: Vec<RunId> = self.runs.iter().map(|(run, _)| *run).collect();
        if stored.len() != started.len() || !started.iter().all(|run| stored.contains(run)) {
            self.scene.wrong(format!("P10: {started:?} were started, and {stored:?} are stored"));
        }
        for (run, told) in &self.runs {
            let stored = self.store.whole(*run);
            let mut told = told.clone().or_cancelled(self.heard_a_cancel(*run));
            told.signals = self.signals_of(*run, &told);
            let told = &told;
            if !is_at_rest(&stored) {
                self.scene.wrong(format!("the end: run {run} does not come to rest: {stored:?}"));
                continue;
            }
            if told.shape.is_line() {
                self.check_line(*run, told, &stored);
            }
            if let Err(why) = (Follow { world: self, run: *run, told, stored: &stored }).check() {
                self.scene.wrong(format!("the end: run {run}: {why}; told {told:?}: {stored:?}"));
            }
        }
        self.check_children();
    }

    fn check_line(&self, run: RunId, told: &Told, stored: &StoredRun) {
        match End::of(stored) {
            Some(end) if told.allows(&end) => {}
            end => self.scene.wrong(format!(
                "the end: run {run} is at {end:?}, of {:?}, told {told:?}: {stored:?}",
                told.ends()
            )),
        }
    }

    /// Whether a cancel came into the run's inbox: from whoever cancelled it, or from the run that started it.
    fn heard_a_cancel(&self, run: RunId) -> bool {
        let is_cancel = |mail: &Mail| matches!(mail, Mail::Cancel { .. });
        self.scene.journal(|journal| journal.lives[&run].inbox.iter().any(|mail| is_cancel(&mail.mail)))
    }

    /// A run whose parent does not wait for it any more has ended, unless it was let try again.
    fn check_children(&self) {
        let children = self.scene.journal(|journal| journal.children.clone());
        for ((parent, position, _), child) in children {
            let record = self.store.whole(parent).records.remove(&position);
            let current = record.filter(StepRecord::is_open).and_then(|record| record.child);
            let is_wanted = current.is_some_and(|current| current.run == child);
            let has_ended = self.store.whole(child).run.status().is_terminal();
            let was_reopened = self.scene.journal(|journal| journal.lives[&child].was_reopened);
            if !is_wanted && !has_ended && !was_reopened {
                self.scene.wrong(format!(
                    "P9: run {child} goes on, and run {parent}, which started it, does not wait for it"
                ));
            }
        }
    }

    /// The signals that came in: each that was acknowledged, in the order in which they were sent, and of those of which
    /// that is not known, some.
    fn signals_of(&self, run: RunId, told: &Told) -> BTreeMap<Name, Vec<u64>> {
        let came = |name: Name| -> Vec<u64> {
            let payload = |mail: &Mail| match mail {
                Mail::Signal { name: other, payload } if *other == *name.as_str() => payload.parse().ok(),
                _ => None,
            };
            self.scene.journal(|journal| {
                journal.lives[&run].inbox.iter().filter_map(|mail| payload(&mail.mail)).collect()
            })
        };
        let came: BTreeMap<Name, Vec<u64>> = Name::ALL.into_iter().map(|name| (name, came(name))).collect();
        for (name, came) in &came {
            let known = came.iter().filter(|signal| !told.unheard.contains(signal));
            let sent = told.signals.get(name).map_or(&[][..], Vec::as_slice);
            if !known.eq(sent) {
                self.scene.wrong(format!("P8: {sent:?} were sent to run {run}, and {came:?} came in"));
            }
        }
        came
    }
}
