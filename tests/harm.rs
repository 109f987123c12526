//! What a step may do to its process and to nobody else's run: it panics wherever code of users is called, never returns,
//! or blocks its thread. Its own run fails with the reason; the others keep their results, and the worker goes on.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::panic::panic_any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use prorch::prelude::*;
use prorch::repository::{CauseKind, MemoryRepository};
use prorch::{Error, Pipeline, Status};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How often a good step was called.
#[derive(Clone, Default)]
struct Calls(Arc<AtomicU32>);

#[step]
async fn good(number: u64, calls: &Calls) -> StepResult<u64> {
    calls.0.fetch_add(1, Ordering::SeqCst);
    tokio::task::yield_now().await;
    finish(number + 1)
}

#[pipeline(steps = [good, good])]
struct Good;

/// Panics when it is dropped, with something that does so again: three times in all.
struct Bomb(u32);

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.0 > 0 && !std::thread::panicking() {
            panic_any(Self(self.0 - 1));
        }
    }
}

#[step(retry(max_attempts = 1))]
async fn panics_at_once(_: u64) -> StepResult<u64> {
    panic!("at once")
}

#[step(retry(max_attempts = 1))]
async fn panics_in_poll(number: u64) -> StepResult<u64> {
    tokio::task::yield_now().await;
    assert!(number == u64::MAX, "in the second poll");
    finish(number)
}

#[step(retry(max_attempts = 1))]
fn panics_on_its_thread(number: u64) -> StepResult<u64> {
    assert!(number == u64::MAX, "on a thread of its own");
    finish(number)
}

#[step(retry(max_attempts = 1))]
async fn panics_with_a_bomb(number: u64) -> StepResult<u64> {
    if number < u64::MAX {
        panic_any(Bomb(3));
    }
    finish(number)
}

#[step(retry(max_attempts = 1), timeout = "50ms")]
async fn panics_when_it_is_given_up(number: u64) -> StepResult<u64> {
    let _bomb = Bomb(1);
    std::future::pending::<()>().await;
    finish(number)
}

#[step(retry(max_attempts = 1), timeout = "50ms")]
async fn never_returns(number: u64) -> StepResult<u64> {
    std::future::pending::<()>().await;
    finish(number)
}

/// A state that panics where it is told to.
macro_rules! bad_state {
    ($name:ident, $drop:expr, $write:expr) => {
        #[step(derive(), retry(max_attempts = 1))]
        #[derive(Default)]
        struct $name;

        impl Drop for $name {
            fn drop(&mut self) {
                let drops: bool = $drop;
                assert!(!drops || std::thread::panicking(), "the state is dropped");
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                let writes: bool = $write;
                assert!(writes, "the state is written");
                to.serialize_unit_struct(stringify!($name))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
                panic!("the state is read")
            }
        }
    };
}

bad_state!(StateDrops, true, true);
bad_state!(StateIsWritten, false, false);

impl Step for StateDrops {
    type Input = u64;
    type Output = u64;

    async fn on_start(&mut self, number: &u64, _: &StepContext) -> StepResult<u64> {
        finish(*number)
    }
}

impl Step for StateIsWritten {
    type Input = u64;
    type Output = u64;

    async fn on_start(&mut self, number: &u64, _: &StepContext) -> StepResult<u64> {
        finish(*number)
    }
}

/// A state that is written, and panics when it is read.
#[step(derive(), retry(max_attempts = 1))]
#[derive(Default, Serialize)]
struct StateIsRead {
    number: u64,
}

impl<'de> Deserialize<'de> for StateIsRead {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("the state is read")
    }
}

impl Step for StateIsRead {
    type Input = u64;
    type Output = u64;

    async fn on_start(&mut self, number: &u64, _: &StepContext) -> StepResult<u64> {
        self.number = *number;
        pending()
    }

    async fn on_continue(&mut self, number: &u64, _: &StepContext) -> StepResult<u64> {
        finish(*number)
    }
}

/// A value that panics when it is dropped, written, read or converted, by its number.
#[derive(Clone)]
struct Value(u32);

const DROP: u32 = 1;
const WRITE: u32 = 2;
const READ: u32 = 3;
const CONVERT: u32 = 4;

impl Drop for Value {
    fn drop(&mut self) {
        assert!(self.0 != DROP || std::thread::panicking(), "the output is dropped");
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        assert!(self.0 != WRITE, "the output is written");
        to.serialize_u32(self.0)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = u32::deserialize(from)?;
        assert!(number != READ, "the output is read");
        Ok(Self(number))
    }
}

impl From<Value> for u64 {
    fn from(value: Value) -> Self {
        assert!(value.0 != CONVERT, "the output is converted");
        Self::from(value.0)
    }
}

#[step(retry(max_attempts = 1))]
async fn makes_a_value(number: u32) -> StepResult<Value> {
    finish(Value(number))
}

#[step(retry(max_attempts = 1))]
async fn takes_a_number(number: u64) -> StepResult<u64> {
    finish(number)
}

macro_rules! pipelines {
    ($($name:ident: [$($step:ident),*]),* $(,)?) => {$(
        #[pipeline(steps = [$($step),*])]
        struct $name;
    )*};
}

pipelines! {
    AtOnce: [panics_at_once],
    InPoll: [panics_in_poll],
    OnItsThread: [panics_on_its_thread],
    WithABomb: [panics_with_a_bomb],
    GivenUp: [panics_when_it_is_given_up],
    NeverReturns: [never_returns],
    Drops: [StateDrops],
    Written: [StateIsWritten],
    IsRead: [StateIsRead],
    Values: [makes_a_value, takes_a_number],
}

/// Runs a bad run among good ones by a worker that goes on, and says why the bad one failed.
async fn harm<P: Pipeline>(input: P::Input) -> String {
    let calls = Calls::default();
    let orchestrator = Orchestrator::builder(MemoryRepository::new())
        .pipeline::<P>()
        .pipeline::<Good>()
        .resource(calls.clone())
        .build()
        .unwrap();
    let before = orchestrator.start::<Good>(1).await.unwrap();
    let bad = orchestrator.start::<P>(input).await.unwrap();
    let beside = orchestrator.start::<Good>(2).await.unwrap();
    let mut failed = None;
    let work = async {
        failed = bad.wait().await.err();
        let after = orchestrator.start::<Good>(3).await.unwrap();
        assert_eq!(before.wait().await.unwrap(), 3);
        assert_eq!(beside.wait().await.unwrap(), 4);
        assert_eq!(after.wait().await.unwrap(), 5);
    };
    orchestrator.run_until(work).await.expect("the worker goes on");
    assert_eq!(calls.0.load(Ordering::SeqCst), 6, "each good step was called once");
    let stored = orchestrator.get(bad.id()).await.unwrap().unwrap();
    assert_eq!((stored.run.status(), stored.run.state.crashes), (Status::Failed, 0));
    let Some(Error::Failed { cause, .. }) = failed else { panic!("{failed:?}") };
    assert_eq!(cause.kind, CauseKind::Error, "{cause:?}");
    cause.text.to_string()
}

#[tokio::test]
async fn a_panic_in_a_call() {
    assert_eq!(harm::<AtOnce>(1).await, "the step panicked: at once");
    assert_eq!(harm::<InPoll>(1).await, "the step panicked: in the second poll");
    assert_eq!(harm::<OnItsThread>(1).await, "the step panicked: on a thread of its own");
}

#[tokio::test]
async fn a_panic_with_what_panics_when_it_is_dropped() {
    assert_eq!(harm::<WithABomb>(1).await, "the step panicked: a value that is no text");
}

#[tokio::test]
async fn a_call_that_never_returns() {
    assert_eq!(harm::<NeverReturns>(1).await, "the call took longer than 50ms, its timeout");
}

#[tokio::test]
async fn a_panic_when_the_call_is_given_up() {
    assert_eq!(harm::<GivenUp>(1).await, "the call took longer than 50ms, its timeout");
}

#[tokio::test]
async fn a_panic_of_the_state() {
    assert_eq!(harm::<Drops>(1).await, "the step panicked: the state is dropped");
    assert_eq!(harm::<Written>(1).await, "the step panicked: the state is written");
    assert_eq!(harm::<IsRead>(1).await, "the step panicked: the state is read");
}

#[tokio::test]
async fn a_panic_of_the_output() {
    assert_eq!(harm::<Values>(DROP).await, "the step panicked: the output is dropped");
    assert_eq!(harm::<Values>(WRITE).await, "the step panicked: the output is written");
    assert_eq!(harm::<Values>(READ).await, "the step panicked: the output is read");
    assert_eq!(harm::<Values>(CONVERT).await, "the step panicked: the output is converted");
}
