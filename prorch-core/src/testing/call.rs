use std::sync::Arc;

use tokio::sync::watch;

use crate::clock::{Clock, SystemClock};
use crate::engine::new_id;
use crate::model::{Kept, Mail, Message, MessageId, Metadata, RunId, StepProgress, Text};
use crate::payload::{Payload, PayloadError};
use crate::step::{
    CallFacts, Progress, Purpose, Resources, Step, StepContext, StepError, StepResult, ask_alone,
};

/// Calls one step alone, without a repository and without an engine. Between two calls its fields are encoded and
/// decoded, as the engine does it.
///
/// ```
/// # use prorch_core::step::{Progress, Step, StepContext, StepDefinition, StepResult, finish, pending};
/// # #[derive(Default, serde::Serialize, serde::Deserialize)]
/// # struct Count { asked: u32 }
/// # impl StepDefinition for Count { const NAME: &'static str = "Count"; }
/// # impl Step for Count {
/// #     type Input = u32;
/// #     type Output = u32;
/// #     async fn on_start(&mut self, _: &u32, _: &StepContext) -> StepResult<u32> { pending() }
/// #     async fn on_continue(&mut self, limit: &u32, _: &StepContext) -> StepResult<u32> {
/// #         self.asked += 1;
/// #         if self.asked < *limit { pending() } else { finish(self.asked) }
/// #     }
/// # }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use prorch_core::testing::call;
///
/// let mut count = call::<Count>(2);
/// assert_eq!(count.on_start().await.unwrap(), Progress::Pending { after: None });
/// assert_eq!(count.on_continue().await.unwrap(), Progress::Pending { after: None });
/// assert_eq!(count.on_continue().await.unwrap(), Progress::Finished(2));
/// # });
/// ```
#[must_use]
pub fn call<S: Step>(input: S::Input) -> Call<S> {
    Call {
        input,
        step: S::default(),
        attempt: 1,
        run: RunId::from_uuid(new_id(SystemClock::new().now())),
        run_input: Text::from("null"),
        resources: Arc::default(),
        signals: Vec::new(),
        kept: Kept::default(),
    }
}

/// A step that is called alone: see [`call`].
#[derive(Debug)]
pub struct Call<S: Step> {
    pub(super) input: S::Input,
    step: S,
    attempt: u32,
    run: RunId,
    run_input: Text,
    pub(super) resources: Arc<Resources>,
    signals: Vec<Message>,
    kept: Kept,
}

impl<S: Step> Call<S> {
    /// Begins with these fields, as after earlier calls.
    #[must_use]
    pub fn state(mut self, step: S) -> Self {
        self.step = step;
        self
    }

    /// What `cx.attempt()` says; 1 unless it is said here.
    #[must_use]
    pub const fn attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// Gives the step a value of this type: `cx.resource::<T>()?`.
    #[must_use]
    pub fn resource<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        if let Some(resources) = Arc::get_mut(&mut self.resources) {
            resources.insert(value);
        }
        self
    }

    /// What `cx.run_input()` gives.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] when the value can't be encoded.
    pub fn run_input<T: Payload>(mut self, input: &T) -> Result<Self, PayloadError> {
        self.run_input = input.encode()?;
        Ok(self)
    }

    /// Puts a signal into the run's inbox, for the calls that follow.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] when the value can't be encoded.
    pub fn signal<T: Payload>(&mut self, name: &str, payload: &T) -> Result<(), PayloadError> {
        let now = SystemClock::new().now();
        let mail = Mail::Signal { name: Text::from(name), payload: payload.encode()? };
        self.signals.push(Message::new(MessageId::from_uuid(new_id(now)), mail, now));
        Ok(())
    }

    /// Calls `on_start`, or `on_continue` where that is not written.
    ///
    /// # Errors
    ///
    /// What the step answers.
    pub async fn on_start(&mut self) -> StepResult<S::Output> {
        let (cx, mut step) = (self.context(Purpose::Step), self.copy()?);
        let mut answer = step.on_start(&self.input, &cx).await;
        if matches!(answer, Ok(Progress::Unwritten)) {
            answer = ask(&mut step, &self.input, &cx).await;
        }
        self.settle(step, &cx, answer)
    }

    /// Calls `on_continue`, or `on_continue_many` with a list of one where that is not written.
    ///
    /// # Errors
    ///
    /// What the step answers.
    pub async fn on_continue(&mut self) -> StepResult<S::Output> {
        let (cx, mut step) = (self.context(Purpose::Step), self.copy()?);
        let answer = ask(&mut step, &self.input, &cx).await;
        self.settle(step, &cx, answer)
    }

    /// Calls `on_uncertain`, as when it is not known what became of the first call.
    ///
    /// # Errors
    ///
    /// What the step answers; a fatal one where it is not written: then the run would fail in doubt.
    pub async fn on_uncertain(&mut self) -> StepResult<S::Output> {
        let (cx, mut step) = (self.context(Purpose::Step), self.copy()?);
        let answer = match step.on_uncertain(&self.input, &cx).await {
            Ok(Progress::Unwritten) => {
                Err(StepError::fatal("the step has no `on_uncertain`: it is in doubt"))
            }
            answer => answer,
        };
        self.settle(step, &cx, answer)
    }

    /// Calls `compensate`, as when the step handed this on, or has not finished. A step that has not written it answers
    /// that it is done.
    ///
    /// # Errors
    ///
    /// What the step answers.
    pub async fn compensate(&mut self, output: Option<&S::Output>) -> StepResult<()> {
        let (cx, mut step) = (self.context(Purpose::Undo), self.copy()?);
        let mut answer = step.compensate(&self.input, output, &cx).await;
        if matches!(answer, Ok(Progress::Unwritten)) {
            answer = Ok(Progress::Finished(()));
        }
        self.settle(step, &cx, answer)
    }

    /// The step's fields as they would be stored.
    #[must_use]
    pub const fn step(&self) -> &S {
        &self.step
    }

    /// How far the step has said that it has come.
    #[must_use]
    pub const fn progress(&self) -> Option<StepProgress> {
        self.kept.progress
    }

    /// What the step pinned to the run.
    #[must_use]
    pub const fn metadata(&self) -> &Metadata {
        &self.kept.run_metadata
    }

    pub(super) fn context(&self, purpose: Purpose) -> StepContext {
        StepContext::new(CallFacts {
            run: self.run,
            step: Text::from(S::NAME),
            attempt: self.attempt,
            purpose,
            run_input: self.run_input.clone(),
            resources: self.resources.clone(),
            signals: self.signals.clone(),
            ..CallFacts::of_no_run()
        })
    }

    /// The step as it comes back from the store.
    pub(super) fn copy(&self) -> Result<S, StepError> {
        Ok(S::decode(&self.step.encode()?)?)
    }

    /// Keeps what a call leaves, if its answer was one that counts.
    pub(super) fn settle<T>(&mut self, step: S, cx: &StepContext, answer: StepResult<T>) -> StepResult<T> {
        if answer.is_ok() {
            let kept = cx.take_kept();
            self.signals.retain(|message| !kept.taken.contains(&message.id));
            self.kept.run_metadata.extend(kept.run_metadata);
            self.kept.step_metadata.extend(kept.step_metadata);
            self.kept.progress = kept.progress.or(self.kept.progress);
            self.step = step;
        }
        answer
    }
}

/// Asks a step as the engine asks one that is alone.
async fn ask<S: Step>(step: &mut S, input: &S::Input, cx: &StepContext) -> StepResult<S::Output> {
    match step.on_continue(input, cx).await {
        Ok(Progress::Unwritten) => ask_alone(step, input, cx).await,
        answer => answer,
    }
}

impl StepContext {
    /// A context that belongs to no run, for tests that call a step's functions themselves. It has no resources and no
    /// signals: see [`call`] for those.
    #[must_use]
    pub fn for_test() -> Self {
        Self::new(CallFacts::of_no_run())
    }
}

impl CallFacts {
    fn of_no_run() -> Self {
        Self {
            run: RunId::from_uuid(new_id(SystemClock::new().now())),
            step: Text::from("test"),
            item: None,
            attempt: 1,
            purpose: Purpose::Step,
            run_input: Text::from("null"),
            resources: Arc::default(),
            signals: Vec::new(),
            history: None,
            cancelled: watch::Sender::new(false).subscribe(),
        }
    }
}
