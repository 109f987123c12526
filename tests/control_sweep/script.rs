//! What the run is told and when, and what its steps did outside.

use std::sync::{Arc, Mutex, PoisonError};

use prorch::prelude::*;
use prorch::repository::{Mail, StoredRun};
use prorch::{Error, RunId};
use prorch_testkit::soak;

use crate::told::{Done, SIGNAL};

/// When a run is told something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// Before this pass, counted from 0: nobody holds the run.
    Pass(u32),
    /// While this call is under way: its worker holds the run.
    Call(&'static str),
    /// When it is paused.
    Paused,
    /// When it has failed.
    Failed,
}

impl At {
    /// Whether what is to be told then may be told now.
    fn has_come(self, now: Self) -> bool {
        match (self, now) {
            (Self::Pass(at), Self::Pass(now)) => at <= now,
            (at, now) => at == now,
        }
    }

    /// Points at which a run is somewhere; in the long form all.
    pub(crate) fn some() -> impl Iterator<Item = Self> {
        let all =
            ["first", "listen", "heard", "last"].map(Self::Call).into_iter().chain((0..3).map(Self::Pass));
        let is_chosen = |at: &Self| {
            soak::is_long() || [Self::Pass(1), Self::Call("heard"), Self::Call("last")].contains(at)
        };
        all.filter(is_chosen)
    }
}

/// What a run is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tell {
    Signal(u64),
    Cancel,
    Pause,
    Resume,
    /// What was broken is mended, and the run may try again.
    Retry,
}

/// Why it is cancelled.
pub(crate) const REASON: &str = "it's \"enough\"\nfor now";

/// What is told, when, in this order.
pub(crate) type Script = Vec<(At, Tell)>;

/// The world outside of the program: what it did, and what somebody tells it to tell the run.
#[derive(Clone, Debug, Default)]
pub(crate) struct World(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    program: Option<Orchestrator>,
    /// The calls that were made, each with its attempt.
    made: Vec<(&'static str, u32)>,
    script: Script,
    told: usize,
    /// Whether the program began to tell something and died of it.
    interrupted: bool,
    broken: bool,
}

impl World {
    pub(crate) fn new(script: &Script) -> Self {
        let inner = Inner { script: script.clone(), broken: true, ..Inner::default() };
        Self(Arc::new(Mutex::new(inner)))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A program begins, or ends.
    pub(crate) fn run_by(&self, program: Option<Orchestrator>) {
        self.with(|inner| inner.program = program);
    }

    pub(crate) fn made(&self) -> Vec<(&'static str, u32)> {
        self.with(|inner| inner.made.clone())
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.with(|inner| inner.broken)
    }

    /// Whether all was told.
    pub(crate) fn is_told(&self) -> bool {
        self.with(|inner| inner.told == inner.script.len())
    }

    /// A step is called.
    pub(crate) async fn called(&self, call: &'static str, cx: &StepContext) -> Result<(), StepError> {
        self.with(|inner| inner.made.push((call, cx.attempt())));
        Ok(self.tell(At::Call(call), cx.run_id()).await?)
    }

    /// Tells what is to be told now.
    pub(crate) async fn tell(&self, now: At, run: RunId) -> Result<(), Error> {
        while let Some(tell) = self.next(now) {
            self.tell_this(tell, run).await?;
        }
        Ok(())
    }

    fn next(&self, now: At) -> Option<Tell> {
        self.with(|inner| {
            let (at, tell) = *inner.script.get(inner.told)?;
            at.has_come(now).then_some(tell)
        })
    }

    /// A program that died while it told something, and doesn't know whether it did, tells it again, and what is to be
    /// told then. Whether a signal is there can be seen, and has to be: told again, it is another signal.
    pub(crate) async fn tell_again(&self, stored: &StoredRun) -> Result<(), Error> {
        if !self.with(|inner| inner.interrupted) {
            return Ok(());
        }
        let (at, tell) = self.with(|inner| inner.script[inner.told]);
        if is_there(stored, tell) {
            self.with(Inner::has_told);
        }
        self.tell(at, stored.run.id).await
    }

    async fn tell_this(&self, tell: Tell, run: RunId) -> Result<(), Error> {
        let program = self.with(|inner| {
            inner.interrupted = true;
            inner.broken &= tell != Tell::Retry;
            inner.program.clone().expect("a program runs")
        });
        let told = match tell {
            Tell::Signal(number) => program.signal(run, SIGNAL, number).await,
            Tell::Cancel => program.cancel(run, REASON).await.map(drop),
            Tell::Pause => program.pause(run).await.map(drop),
            Tell::Resume => program.resume(run).await.map(drop),
            Tell::Retry => program.retry(run).await.map(drop),
        };
        match told {
            // It had taken effect when it was told before.
            Ok(()) | Err(Error::Refused { .. }) => self.with(Inner::has_told),
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl Inner {
    fn has_told(&mut self) {
        self.told += 1;
        self.interrupted = false;
    }
}

/// Whether the run has got this signal.
fn is_there(stored: &StoredRun, tell: Tell) -> bool {
    let Tell::Signal(number) = tell else { return false };
    let payload = number.to_string();
    let waits = stored
        .untaken()
        .any(|message| matches!(&message.mail, Mail::Signal { payload: other, .. } if **other == *payload));
    waits || done(stored).heard.contains(&number)
}

/// What was committed of a run's calls.
pub(crate) fn done(stored: &StoredRun) -> Done {
    #[derive(serde::Deserialize)]
    struct State {
        done: Done,
    }
    let of_record = |record: &prorch::repository::StepRecord| {
        let output = record.output.as_ref().map(|output| serde_json::from_str::<Done>(output).unwrap());
        let state = || serde_json::from_str::<State>(record.state.as_ref()?).ok();
        output.or_else(|| state().map(|state| state.done))
    };
    stored.records.values().rev().find_map(of_record).unwrap_or_default()
}
