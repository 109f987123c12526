//! How the output of one step becomes the input of the next.

use crate::payload::Payload;

/// Says that what one step outputs can go into the next: the types are the same, or there is an `Into`.
///
/// There is nothing to implement: write `impl From<TheOutput> for TheInput` where two steps don't fit by themselves.
#[diagnostic::on_unimplemented(
    message = "the steps of this pipeline do not fit together: one outputs `{Self}`, the next takes `{Next}`",
    label = "this step takes `{Next}`, and gets `{Self}`",
    note = "give both the same type, or write `impl From<{Self}> for {Next}`"
)]
pub trait FlowsInto<Next>: Sized {
    /// The next step's input.
    fn flow(self) -> Next;
}

#[diagnostic::do_not_recommend]
impl<Output, Next> FlowsInto<Next> for Output
where
    Output: Into<Next>,
{
    fn flow(self) -> Next {
        self.into()
    }
}

/// The input of a step that looks at none: every output flows into it.
///
/// It is not stored, and so no [`Payload`]; a pipeline that begins with such a step is started with `()`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Anything(());

impl<T: Payload> From<T> for Anything {
    fn from(_: T) -> Self {
        Self(())
    }
}

/// What a pipeline is started with when this is what its first step takes: the same, and `()` for [`Anything`].
#[diagnostic::on_unimplemented(
    message = "a pipeline can't be started with a `{Self}`: it can't be stored",
    label = "the first step takes this, and it lacks serde's `Serialize` and `Deserialize`",
    note = "write `#[derive(serde::Serialize, serde::Deserialize)]` above `{Self}`"
)]
pub trait Begin {
    /// The pipeline's input.
    type Input: Payload + FlowsInto<Self>
    where
        Self: Sized;
}

#[diagnostic::do_not_recommend]
impl<T: Payload> Begin for T {
    type Input = T;
}

impl Begin for Anything {
    type Input = ();
}
