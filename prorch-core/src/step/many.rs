//! Steps that are asked together: one call settles records of many runs.

use std::any::{Any, TypeId};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::invoke::{decode, failure, reply};
use super::{Invocation, Progress, Reply, Resources, Step, StepContext, StepError, StepResult, pending};
use crate::flow::FlowsInto;
use crate::model::{Hook, Outcome};
use crate::payload::PayloadError;
use crate::repository::BoxFuture;

/// A record that waits, among those that [`on_continue_many`](Step::on_continue_many) is asked about.
///
/// The list may be sorted: an answer belongs to the record that was settled with it, wherever that stands.
pub struct Waiting<'a, S: Step> {
    /// The step's fields, as last committed. What they are when the call returns is stored with the answer.
    pub step: &'a mut S,
    /// What the step gets.
    pub input: &'a S::Input,
    /// What is known of this record, and of its run: as for [`on_continue`](Step::on_continue).
    pub cx: &'a StepContext,
    answer: &'a mut Option<StepResult<S::Output>>,
}

impl<'a, S: Step> Waiting<'a, S> {
    /// The record of this step, whose answer is put where `answer` is.
    pub(crate) const fn new(
        step: &'a mut S,
        input: &'a S::Input,
        cx: &'a StepContext,
        answer: &'a mut Option<StepResult<S::Output>>,
    ) -> Self {
        Self { step, input, cx, answer }
    }

    /// Gives this answer for the record; of several the last one counts.
    pub fn settle(&mut self, answer: StepResult<S::Output>) {
        *self.answer = Some(answer);
    }
}

impl<S: Step> fmt::Debug for Waiting<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_settled = self.answer.is_some();
        f.debug_struct("Waiting")
            .field("cx", &self.cx)
            .field("is_settled", &is_settled)
            .finish_non_exhaustive()
    }
}

/// What [`on_continue_many`](Step::on_continue_many) is told about its call.
pub struct BatchContext {
    step: &'static str,
    resources: Arc<Resources>,
    /// Whether it was the function that answers for a step which has none of its own.
    unwritten: AtomicBool,
}

impl BatchContext {
    pub(crate) const fn new(step: &'static str, resources: Arc<Resources>) -> Self {
        Self { step, resources, unwritten: AtomicBool::new(false) }
    }

    /// The step's name.
    #[must_use]
    pub const fn step_name(&self) -> &str {
        self.step
    }

    /// The value of this type that the program gave to the orchestrator (`.resource(value)`).
    ///
    /// # Errors
    ///
    /// A fatal one that says what to write, when there is none.
    pub fn resource<T: 'static>(&self) -> Result<&T, StepError> {
        self.resources.asked(self.step)
    }

    pub(super) fn say_unwritten(&self) {
        self.unwritten.store(true, Ordering::Relaxed);
    }

    fn is_unwritten(&self) -> bool {
        self.unwritten.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for BatchContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchContext").field("step", &self.step).finish_non_exhaustive()
    }
}

/// Asks about one record by a list of one. A step that has no such function answers so.
pub(crate) async fn ask_alone<S: Step>(
    step: &mut S,
    input: &S::Input,
    cx: &StepContext,
) -> StepResult<S::Output> {
    let batch = BatchContext::new(S::NAME, cx.resources().clone());
    let mut answer = None;
    let asked = S::on_continue_many(&mut [Waiting { step, input, cx, answer: &mut answer }], &batch).await;
    if batch.is_unwritten() {
        return Ok(Progress::Unwritten);
    }
    answer.unwrap_or_else(|| asked.and_then(|()| pending()))
}

/// How records of a step are asked together.
pub(crate) struct Many {
    /// Those of one type go together, whatever their pipelines are.
    pub(crate) step: TypeId,
    /// The most of a call.
    pub(crate) most: usize,
    /// None of them yet.
    pub(crate) none: fn() -> Box<dyn Gathered>,
    /// Adds the record of a call that would be made.
    pub(crate) add: AddFn,
}

/// Adds the record of a call that would be made, under this number; what can't be decoded is said instead.
pub(crate) type AddFn = fn(&mut dyn Gathered, usize, Invocation) -> Result<(), Box<Reply>>;

impl Many {
    /// For records of the step `S`, each added by `add`; none where the step has no such function.
    pub(crate) fn of<S: Step>(add: AddFn) -> Option<Self> {
        let most = usize::try_from(S::OPTIONS.batch.most()).unwrap_or(usize::MAX);
        let none = || Box::new(Vec::<Entry<S>>::new()) as Box<dyn Gathered>;
        (!S::BLOCKING && is_written::<S>()).then(|| Self { step: TypeId::of::<S>(), most, none, add })
    }
}

/// Whether the user wrote the function. The one that stands for it says so as soon as it is called; an `async fn` does
/// nothing before its future is polled, which this one never is.
fn is_written<S: Step>() -> bool {
    let cx = BatchContext::new(S::NAME, Arc::default());
    let made = catch_unwind(AssertUnwindSafe(|| drop(S::on_continue_many(&mut [], &cx))));
    made.is_err() || !cx.is_unwritten()
}

/// Records of one step that are asked by one call, whatever the step is.
pub(crate) trait Gathered: Any + Send {
    /// Asks about all of them.
    fn ask<'a>(&'a mut self, cx: &'a BatchContext) -> BoxFuture<'a, Asked>;

    /// The number of the last one.
    fn last_at(&self) -> Option<usize>;

    /// Takes the last one away, and says what came of it.
    fn take_last(&mut self, asked: &Asked, max_payload: usize) -> Option<Told>;
}

/// What a call came to as a whole.
#[derive(Debug)]
pub(crate) enum Asked {
    /// It returned.
    Answered,
    /// It returned an error, which means this under the step's policy.
    Erred(Outcome),
    /// It was handed on to a step that has no such function.
    Unwritten,
}

/// What a call that was made for many came to for one of them.
#[derive(Debug)]
pub(crate) enum Told {
    /// This is its own.
    Reply(Reply),
    /// This error, which is that of the whole call.
    Shared(Outcome),
    /// Nothing: it has to be asked alone.
    Nothing,
}

/// A record in a call.
struct Entry<S: Step> {
    at: usize,
    step: S,
    input: S::Input,
    cx: StepContext,
    answer: Option<StepResult<S::Output>>,
}

/// Adds the record of a call that would be made.
pub(crate) fn add<S, Before>(
    gathered: &mut dyn Gathered,
    at: usize,
    call: Invocation,
    decode_before: fn(&str) -> Result<Before, PayloadError>,
) -> Result<(), Box<Reply>>
where
    S: Step,
    Before: FlowsInto<S::Input>,
{
    let Invocation { input, state, cx, .. } = call;
    let decoded = decode_before(&input).and_then(|before| Ok((before, decode::<S>(state.as_ref())?)));
    let (before, step) = decoded.map_err(|error| Box::new(Reply::unreadable(&error)))?;
    let gathered: &mut dyn Any = gathered;
    let entries: &mut Vec<Entry<S>> =
        gathered.downcast_mut().unwrap_or_else(|| unreachable!("records of one step are gathered"));
    entries.push(Entry { at, step, input: before.flow(), cx, answer: None });
    Ok(())
}

impl<S: Step> Gathered for Vec<Entry<S>> {
    fn ask<'a>(&'a mut self, cx: &'a BatchContext) -> BoxFuture<'a, Asked> {
        let waiting =
            self.iter_mut().map(|Entry { step, input, cx, answer, .. }| Waiting { step, input, cx, answer });
        let mut waiting: Vec<Waiting<'a, S>> = waiting.collect();
        Box::pin(async move {
            match S::on_continue_many(&mut waiting, cx).await {
                _ if cx.is_unwritten() => Asked::Unwritten,
                Ok(()) => Asked::Answered,
                Err(error) => Asked::Erred(failure(&error, &S::OPTIONS.retry)),
            }
        })
    }

    fn last_at(&self) -> Option<usize> {
        self.as_slice().last().map(|entry| entry.at)
    }

    fn take_last(&mut self, asked: &Asked, max_payload: usize) -> Option<Told> {
        let Entry { step, cx, answer, .. } = self.pop()?;
        Some(match (answer, asked) {
            (None, Asked::Erred(outcome)) => Told::Shared(outcome.clone()),
            (None, Asked::Unwritten) => Told::Nothing,
            (answer, _) => {
                let answer = answer.unwrap_or_else(pending);
                Told::Reply(reply(Hook::Continue, answer, &step, &cx, max_payload))
            }
        })
    }
}
