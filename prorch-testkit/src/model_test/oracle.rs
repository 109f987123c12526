//! What may become of a run, by its script and by what it was told.

use std::collections::BTreeMap;

use prorch_core::model::{CauseKind, Status};
use prorch_core::repository::StoredRun;

use super::action::Mend;
use super::journal::is_by_cap;
use super::script::{Name, Script, Then};
use super::shapes::Shape;
use super::step::{Handed, NAMES};

/// What a run was told, as far as it was acknowledged.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) shape: Shape,
    /// What it was started with.
    pub(super) input: Handed,
    /// The signals of each name, in the order in which they came.
    pub(super) signals: BTreeMap<Name, Vec<u64>>,
    /// Signals of which it is not known whether they came.
    pub(super) unheard: Vec<u64>,
    /// Each time that it was let try again when a step of it had failed.
    pub(super) retries: Vec<Mend>,
    /// Whether what was in its way was mended when it was let try again after crashes: at any time, as its steps see it.
    pub(super) mended: bool,
    pub(super) cancel: Heard,
    pub(super) pause: Heard,
}

/// What is known of something that a run was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It was not told, or told the contrary.
    No,
    /// It waits in its inbox, or its answer was lost.
    Perhaps,
    /// It was done.
    Yes,
}

/// How a run may stand when nothing more happens by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Finished(Handed),
    Failed(&'static str),
    /// By a step, or from outside.
    Cancelled(Option<&'static str>),
    /// At this step, for a signal.
    Waiting(&'static str, Name),
    Paused,
    /// Cut off too often: whether it was, the journal knows.
    Crashed,
}

impl End {
    /// How a run stands that is stored like this; none when it should go on.
    pub(super) fn of(stored: &StoredRun) -> Option<Self> {
        let state = &stored.run.state;
        let named = |name: &str| NAMES.into_iter().find(|known| *known == name);
        let cause = state.cause.as_ref();
        let step = cause.and_then(|cause| cause.step.as_ref()).and_then(|step| named(step));
        match state.status {
            Status::Finished => serde_json::from_str(state.output.as_ref()?).ok().map(Self::Finished),
            Status::Failed if is_by_cap(cause?.kind) => Some(Self::Crashed),
            Status::Failed if cause?.kind == CauseKind::Error => step.map(Self::Failed),
            Status::Cancelled => Some(Self::Cancelled(step)),
            Status::Created | Status::Pending if stored.run.lease.is_some() => None,
            Status::Created | Status::Pending if state.paused => Some(Self::Paused),
            Status::Pending => {
                let record = stored.current().next().filter(|record| record.due_at.is_none())?;
                let name =
                    Name::ALL.into_iter().find(|name| record.awaits.as_deref() == Some(name.as_str()))?;
                Some(Self::Waiting(named(&record.name)?, name))
            }
            _ => None,
        }
    }
}

impl Told {
    /// A run that was started, and told nothing yet.
    pub(super) fn nothing(shape: Shape, input: Handed) -> Self {
        let (signals, retries) = (BTreeMap::new(), Vec::new());
        let (cancel, pause) = (Heard::No, Heard::No);
        Self { shape, input, signals, unheard: Vec::new(), retries, mended: false, cancel, pause }
    }

    /// The same for one into whose inbox a cancel came, if one did, whoever sent it.
    pub(super) fn or_cancelled(self, heard: bool) -> Self {
        let cancel = if heard && self.cancel == Heard::No { Heard::Perhaps } else { self.cancel };
        Self { cancel, ..self }
    }

    /// Whether a run that was told this may stand like that.
    pub(super) fn allows(&self, end: &End) -> bool {
        let is_open = matches!(end, End::Waiting(..) | End::Paused);
        match (self.cancel, self.pause) {
            (Heard::Yes, _) => return *end == End::Cancelled(None),
            (Heard::No, _) if *end == End::Cancelled(None) => return false,
            (_, Heard::No) if *end == End::Paused => return false,
            (_, Heard::Yes) if is_open && *end != End::Paused => return false,
            _ => {}
        }
        matches!(end, End::Crashed | End::Paused | End::Cancelled(None)) || self.ends().contains(end)
    }

    /// How its steps may leave it: more than one way where a wait has a limit, as the signal may come before or after.
    pub(super) fn ends(&self) -> Vec<End> {
        let mut ends = Vec::new();
        let given = self.input.clone();
        let (heard, taken) = (Vec::new(), BTreeMap::new());
        Walk { told: self, step: 0, given, heard, taken, retries: 0, mended: false }.go_on(0, &mut ends);
        ends
    }
}

/// A run on its way, as its script has it.
#[derive(Clone)]
struct Walk<'a> {
    told: &'a Told,
    step: usize,
    given: Handed,
    /// What the step at hand has heard.
    heard: Vec<Option<u64>>,
    /// How many signals of each name were taken.
    taken: BTreeMap<Name, usize>,
    retries: usize,
    mended: bool,
}

impl Walk<'_> {
    /// The step at hand goes on with this answer.
    fn go_on(self, phase: usize, ends: &mut Vec<End>) {
        let name = NAMES[self.step];
        match self.script().phases[phase].then {
            Then::Poll(_) => self.go_on(phase + 1, ends),
            Then::Await(..) => self.hear(phase + 1, ends),
            Then::Cancel => ends.push(End::Cancelled(Some(name))),
            Then::Fail | Then::Err if self.told.mended && !self.is_mended() => {
                let mut mended = self.clone();
                mended.mended = true;
                mended.go_on(phase, ends);
                self.fail(phase, ends);
            }
            Then::Fail | Then::Err if !self.is_mended() => self.fail(phase, ends),
            Then::Finish | Then::Fail | Then::Err => self.finish(ends),
        }
    }

    /// The step fails. If the run was let try again, only what came of that stands.
    fn fail(mut self, phase: usize, ends: &mut Vec<End>) {
        if self.retries == self.told.retries.len() {
            return ends.push(End::Failed(NAMES[self.step]));
        }
        self.retries += 1;
        // The call that failed took nothing.
        if let Some((name, _)) = self.script().awaited(phase)
            && let Some(Some(_)) = self.heard.pop()
        {
            *self.taken.entry(name).or_default() -= 1;
        }
        if self.script().phases[phase].then == Then::Fail {
            self.heard.clear();
            return self.go_on(0, ends);
        }
        self.hear(phase, ends);
    }

    /// The step at hand takes the signal that it waited for before this answer, if it did.
    fn hear(mut self, phase: usize, ends: &mut Vec<End>) {
        let Some((signal, limit)) = self.script().awaited(phase) else { return self.go_on(phase, ends) };
        if limit.is_some() {
            let mut in_vain = self.clone();
            in_vain.heard.push(None);
            in_vain.go_on(phase, ends);
        }
        match self.take(signal) {
            Some(heard) => {
                self.heard.push(Some(heard));
                self.go_on(phase, ends);
            }
            None if limit.is_none() => ends.push(End::Waiting(NAMES[self.step], signal)),
            None => {}
        }
    }

    fn script(&self) -> Script {
        Script::of(self.given.seed, self.step)
    }

    fn finish(mut self, ends: &mut Vec<End>) {
        self.given = self.given.after(self.step, &self.heard);
        self.heard.clear();
        self.step += 1;
        if self.step == self.told.shape.forms().len() {
            ends.push(End::Finished(self.given));
        } else {
            self.go_on(0, ends);
        }
    }

    fn is_mended(&self) -> bool {
        self.mended || self.told.retries[..self.retries].contains(&Mend::Yes)
    }

    fn take(&mut self, name: Name) -> Option<u64> {
        let taken = self.taken.entry(name).or_default();
        let signal = self.told.signals.get(&name)?.get(*taken).copied()?;
        *taken += 1;
        Some(signal)
    }
}
