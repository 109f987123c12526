//! What the steps, the store and who looks at them have in common.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use prorch_core::model::Mail;
use prorch_core::repository::RunId;
use prorch_core::step::StepContext;
use tokio::sync::watch;

use super::journal::{CRASH_CAP, CallSeen, Journal};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Scene {
    journal: Mutex<Journal>,
    /// How often which answer of which step was tried.
    tries: Mutex<HashMap<(String, usize), u32>>,
    mended: Mutex<BTreeSet<RunId>>,
    released: watch::Sender<Released>,
}

/// The calls that need not wait any more.
#[derive(Debug, Default)]
struct Released {
    all: bool,
    up_to: BTreeMap<RunId, u64>,
}

impl Scene {
    pub(super) fn journal<T>(&self, note: impl FnOnce(&mut Journal) -> T) -> T {
        note(&mut lock(&self.journal))
    }

    pub(super) fn wrong(&self, what: String) {
        self.journal(|journal| journal.is_wrong(what));
    }

    /// A call begins, of which so many answers were committed before. Gives its number, and says the how-many-th it is
    /// that tries this answer.
    pub(super) fn begin(&self, cx: &StepContext, answers: usize) -> (u64, u32) {
        let call = self.journal(|journal| journal.begun(cx, answers));
        let mut tries = lock(&self.tries);
        let nth = tries.entry((cx.idempotency_key().to_string(), answers)).or_default();
        *nth += 1;
        (call, *nth)
    }

    /// A first call that is made at most once begins.
    pub(super) fn begin_once(&self, cx: &StepContext) {
        self.journal(|journal| journal.begun_once(cx));
    }

    /// A step is asked what became of its first call, of which so many answers were committed before. It says that nothing
    /// did.
    pub(super) fn ask(&self, cx: &StepContext, answers: usize) {
        self.journal(|journal| journal.asked(cx, answers));
    }

    /// Waits until the call is told to go on.
    pub(super) async fn hold(&self, run: RunId, call: u64) {
        let mut released = self.released.subscribe();
        let is_free =
            |released: &Released| released.all || released.up_to.get(&run).is_some_and(|up_to| call < *up_to);
        // The scene has the other end itself.
        let _ = released.wait_for(is_free).await;
    }

    /// Whether steps of the run are called side by side.
    pub(super) fn has_neighbours(&self, run: RunId) -> bool {
        self.journal(|journal| journal.lives.get(&run).is_some_and(|life| !life.is_line))
    }

    /// Lets the calls of a run go on that were begun so far.
    pub(super) fn release(&self, run: RunId) {
        let calls = self.journal(|journal| journal.calls.len() as u64);
        self.released.send_modify(|released| {
            released.up_to.insert(run, calls);
        });
    }

    /// Lets all calls go on, also those to come.
    pub(super) fn release_all(&self) {
        self.released.send_modify(|released| released.all = true);
    }

    /// Mends what is in the way of a run's steps.
    pub(super) fn mend(&self, run: RunId) {
        lock(&self.mended).insert(run);
    }

    pub(super) fn is_mended(&self, run: RunId) -> bool {
        lock(&self.mended).contains(&run)
    }
}

impl Journal {
    /// A call begins: of a step that has not ended, with what was committed of it, in a run that was not told to stop.
    fn begun(&mut self, cx: &StepContext, answers: usize) -> u64 {
        let number = self.calls.len() as u64;
        let (run, label) = (cx.run_id(), label(cx));
        let wrongs = self.wrongs_of_a_call(cx, &label, answers);
        self.wrong.extend(wrongs.iter().map(|why| format!("{why}: {label} of run {run} is called")));
        self.calls.push(CallSeen { run, label, committed: false });
        number
    }

    /// A first call begins: it was written down, and none was made since.
    fn begun_once(&mut self, cx: &StepContext) {
        let (run, label) = (cx.run_id(), label(cx));
        let record = self.lives.get_mut(&run).and_then(|life| life.called_mut(&label));
        let why = match record {
            Some(record) if record.written.intent.is_none() => {
                "it is called for the first time, and that is not stored"
            }
            Some(record) if record.called_once => {
                "its first call is made a second time, and nobody said that it may be"
            }
            Some(record) => {
                record.called_once = true;
                return;
            }
            None => "it is called for the first time, and its record is not stored",
        };
        self.wrong.push(format!("P5: {why}: {label} of run {run}"));
    }

    fn asked(&mut self, cx: &StepContext, answers: usize) {
        let (run, label) = (cx.run_id(), label(cx));
        let mut wrongs = self.wrongs_of_a_call(cx, &label, answers);
        match self.lives.get_mut(&run).and_then(|life| life.called_mut(&label)) {
            Some(record) if record.written.is_in_doubt() => record.says_again = true,
            _ => wrongs.push("P5: it is not in doubt".into()),
        }
        self.wrong.extend(wrongs.iter().map(|why| format!("{why}: {label} of run {run} is asked")));
    }

    fn wrongs_of_a_call(&self, cx: &StepContext, label: &str, answers: usize) -> Vec<String> {
        let Some(life) = self.lives.get(&cx.run_id()) else { return vec!["P1: it is not stored".into()] };
        let record = life.called(label);
        let has_ended = record.is_some_and(|record| record.status.is_terminal());
        let committed = record.map_or(0, |record| record.done.calls.len());
        let is_told = life.inbox.iter().any(|mail| {
            let stops = matches!(mail.mail, Mail::Cancel { .. } | Mail::Pause);
            stops && !mail.taken && mail.at < life.written_at
        });
        let (attempt, most) = if life.is_line {
            (1 + life.attempts, 1 + life.attempts)
        } else {
            let stored = record.map_or(1, |record| record.written.attempt);
            (stored, stored + life.all_cut_offs)
        };
        let too_often = life.is_line && life.cut_offs >= CRASH_CAP;
        let wrongs = [
            (has_ended, "P2: its end was committed".to_owned()),
            (life.status.is_terminal(), "P9: its run has ended".to_owned()),
            (life.paused, "P9: its run is paused".to_owned()),
            (is_told, "P9: its run was told something before it was written last".to_owned()),
            (too_often, "P5: it was cut off too often".to_owned()),
            (committed != answers, format!("P3: {committed} answers were committed, it knows {answers}")),
            (
                !(attempt..=most).contains(&cx.attempt()),
                format!("P3: it is told attempt {} for {attempt}", cx.attempt()),
            ),
        ];
        wrongs.into_iter().filter_map(|(is_wrong, why)| is_wrong.then_some(why)).collect()
    }
}

/// See [`Life::called`](super::life::Life::called).
fn label(cx: &StepContext) -> String {
    let key = cx.idempotency_key().to_string();
    key.split_once(':').map_or_else(|| key.clone(), |(_, label)| label.to_owned())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
