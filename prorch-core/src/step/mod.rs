//! What a user writes: steps, what they answer, and what they are told.

mod answer;
mod context;
mod definition;
mod error;
mod function;
mod invoke;
mod many;
mod resources;
mod undo;

pub use answer::{
    Progress, StepResult, cancel, fail, finish, pending, pending_for, start_again, wait_for_signal,
};
pub use context::StepContext;
pub use definition::{BatchOptions, RetryOptions, Step, StepDefinition, StepOptions};
pub use error::StepError;
pub use function::{Answer, Answered, AnsweredValue, ByValue, answer, taken};
pub use many::{BatchContext, Waiting};
pub use resources::{ResourceType, Resources};

pub(crate) use context::{CallFacts, History, Purpose};
#[cfg(feature = "cron")]
pub(crate) use invoke::Tick;
pub(crate) use invoke::{Invocation, Reply, encode, failure, invoke};
pub(crate) use many::{Asked, Gathered, Many, Told, add, ask_alone};
pub(crate) use undo::{Undoing, compensate, undo_by};
