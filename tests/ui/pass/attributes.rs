//! What stands around the attributes: docs, conditions, derives of one's own, raw names, lints.
#![forbid(unsafe_code)]
#![deny(warnings, missing_docs)]

use prorch::prelude::*;

/// Documented, and public.
#[step]
#[derive(Clone, Debug, PartialEq)]
pub struct Fields {
    done: u64,
}

/// With derives of its own.
#[step]
#[derive(Debug, serde::Serialize, Default)]
pub struct Own {
    done: u64,
}

/// With an implementation of its own.
#[step(derive(Serialize, Deserialize))]
pub struct ByHand {
    done: u64,
}

impl Default for ByHand {
    fn default() -> Self {
        Self { done: 7 }
    }
}

/// With nothing derived.
#[step(derive())]
#[derive(Default, serde::Serialize, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Nothing {
    done_so_far: u64,
}

/// An enum.
#[step]
pub enum State {
    /// Not begun.
    #[default]
    Idle,
    /// Under way.
    Copying(u64),
}

macro_rules! steps {
    ($($name:ident),*) => {$(
        impl Step for $name {
            type Input = u64;
            type Output = u64;

            async fn on_start(&mut self, input: &u64, _: &StepContext) -> StepResult<u64> {
                finish(*input)
            }
        }
    )*};
}
steps!(Fields, Own, ByHand, Nothing, State);

/// A raw name.
#[step]
pub async fn r#match(number: u64) -> StepResult<u64> {
    finish(number)
}

/// Named like what the generated code might use.
#[step]
pub async fn input(input: &u64, cx: &StepContext) -> StepResult<u64> {
    finish(*input + u64::from(cx.attempt()))
}

#[step]
#[cfg(any())]
async fn left_out(number: Unknown) -> StepResult<u64> {
    finish(number)
}

#[step]
#[cfg(any())]
struct LeftOut {
    state: Unknown,
}

/// All of them.
#[pipeline(steps = [Fields, Own, ByHand, Nothing, State, r#match, input])]
pub struct All;

fn main() {
    assert_eq!(
        All::definition().step_names(),
        ["Fields", "Own", "ByHand", "Nothing", "State", "match", "input"]
    );
}
