//! The steps of the [pipelines](super::pipelines): each notes in the journal what it does.

use std::time::Duration;

use prorch_core::model::RetryPolicy;
use prorch_core::step::{
    RetryOptions, Step, StepContext, StepDefinition, StepError, StepOptions, StepResult, finish, pending,
    pending_for,
};
use serde::{Deserialize, Serialize};

use super::hooks::Hooks;
use super::journal::{Does, Journal};

/// What a run is started with; all its steps hand it on.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Order {
    /// What happens in the second step.
    pub act: Act,
    /// How long each call works.
    pub work: Duration,
}

/// What happens in the second step of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Act {
    /// Nothing but its work.
    #[default]
    Works,
    /// It waits at the hook of this name until the test releases it.
    Waits(String),
    /// It ends its process.
    Aborts,
    /// It asks for memory until there is none.
    Allocates,
}

impl Order {
    /// An order in whose second step this happens.
    #[must_use]
    pub fn that(act: Act) -> Self {
        Self { act, ..Self::default() }
    }

    /// The same, with calls that take this long.
    #[must_use]
    pub fn working(self, work: Duration) -> Self {
        Self { work, ..self }
    }
}

/// A call that notes what it does.
pub(super) struct Noted<'a> {
    cx: &'a StepContext,
    asked: u32,
}

impl<'a> Noted<'a> {
    /// Notes that it begins, and works for so long.
    pub(super) async fn begin(cx: &'a StepContext, asked: u32, work: Duration) -> Result<Self, StepError> {
        let call = Self { cx, asked };
        call.note(Does::Begins)?;
        if !work.is_zero() {
            tokio::time::sleep(work).await;
        }
        Ok(call)
    }

    pub(super) fn note(&self, does: Does) -> Result<(), StepError> {
        Ok(self.cx.resource::<Journal>()?.write(self.cx, self.asked, does)?)
    }

    fn finish(self, order: &Order) -> StepResult<Order> {
        self.note(Does::Finishes)?;
        finish(order.clone())
    }
}

macro_rules! declare {
    ($($name:ident $(with $options:expr)?),*) => {$(
        impl StepDefinition for $name {
            const NAME: &'static str = stringify!($name);
            $(const OPTIONS: StepOptions = $options;)?
        }
    )*};
}

declare!(First, Between, Second, Third, Fourth, Polled, Erring with QUICK_RETRIES);

/// Short delays, so that a test does not wait for them.
const QUICK_RETRIES: StepOptions = StepOptions {
    retry: RetryOptions {
        max_attempts: Some(RetryPolicy::DEFAULT.max_attempts),
        backoff: Some((Duration::from_millis(5), Duration::from_millis(50))),
        only_if: None,
    },
    ..StepOptions::NONE
};

macro_rules! does_its_work {
    ($($name:ident),*) => {$(
        /// Does its work.
        #[derive(Default, Serialize, Deserialize)]
        pub(super) struct $name;

        impl Step for $name {
            type Input = Order;
            type Output = Order;

            async fn on_start(&mut self, order: &Order, cx: &StepContext) -> StepResult<Order> {
                Noted::begin(cx, 0, order.work).await?.finish(order)
            }
        }
    )*};
}

does_its_work!(First, Between, Third, Fourth);

/// Does what the order says.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Second;

impl Step for Second {
    type Input = Order;
    type Output = Order;

    async fn on_start(&mut self, order: &Order, cx: &StepContext) -> StepResult<Order> {
        let call = Noted::begin(cx, 0, order.work).await?;
        match &order.act {
            Act::Works => {}
            Act::Waits(name) => cx.resource::<Hooks>()?.wait(name, cx.run_id()).await?,
            Act::Aborts => std::process::abort(),
            Act::Allocates => use_up_memory(),
        }
        call.finish(order)
    }
}

/// Asks for memory until there is none, which ends the process.
fn use_up_memory() {
    const PIECE: usize = 64 << 20;
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    loop {
        pieces.push(Vec::with_capacity(PIECE));
        std::hint::black_box(&mut pieces);
    }
}

/// Answers *pending* so often before it is finished.
pub(super) const POLLS: u32 = 3;

/// Answers *pending*, at its start and when it is asked, until it has done so often enough.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Polled {
    asked: u32,
}

impl Step for Polled {
    type Input = Order;
    type Output = Order;

    async fn on_start(&mut self, order: &Order, cx: &StepContext) -> StepResult<Order> {
        Noted::begin(cx, self.asked, order.work).await?.note(Does::Waits)?;
        self.asked = 1;
        pending()
    }

    async fn on_continue(&mut self, order: &Order, cx: &StepContext) -> StepResult<Order> {
        let call = Noted::begin(cx, self.asked, order.work).await?;
        if self.asked == POLLS {
            return call.finish(order);
        }
        call.note(Does::Waits)?;
        self.asked += 1;
        pending_for(Duration::from_millis(5))
    }
}

/// Fails at its first attempt, and finishes at the next.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Erring;

impl Step for Erring {
    type Input = Order;
    type Output = Order;

    async fn on_start(&mut self, order: &Order, cx: &StepContext) -> StepResult<Order> {
        let call = Noted::begin(cx, 0, order.work).await?;
        if cx.attempt() > 1 {
            return call.finish(order);
        }
        call.note(Does::Errs)?;
        Err("not at the first attempt".into())
    }
}
