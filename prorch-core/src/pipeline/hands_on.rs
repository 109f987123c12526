//! What stages hand on, as types: how the outputs of their members, as they are stored, become values again.

use std::marker::PhantomData;

use serde_json::value::RawValue;

use super::Pipeline;
use crate::payload::{Payload, PayloadError};
use crate::step::Step;

/// Something that hands on an output.
pub trait HandsOn: 'static {
    /// What it hands on.
    type Output: Send + 'static;

    /// The value that this stored text stands for.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] when it stands for no such value.
    fn decode(stored: &str) -> Result<Self::Output, PayloadError>;
}

/// Something that hands on a list.
#[diagnostic::on_unimplemented(
    message = "`each(…)` goes through a list, and what stands before it hands on none",
    label = "this takes the items of a list",
    note = "let the step before it hand on a `Vec`, or leave `each` out"
)]
pub trait HandsOnItems: HandsOn {
    /// What the list holds.
    type Item: Send + 'static;

    /// The value that this item of the stored list stands for.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] when it stands for no such value.
    fn decode_item(stored: &str) -> Result<Self::Item, PayloadError>;
}

/// What a run is started with.
#[derive(Debug)]
pub struct Given<T>(PhantomData<fn() -> T>);

/// A step that is called.
#[derive(Debug)]
pub struct Call<S>(PhantomData<fn() -> S>);

/// A run of another pipeline.
#[derive(Debug)]
pub struct Run<P>(PhantomData<fn() -> P>);

/// One member for each item of a list.
#[derive(Debug)]
pub struct Each<M>(PhantomData<fn() -> M>);

/// One item of what something hands on.
#[derive(Debug)]
pub struct ItemOf<H>(PhantomData<fn() -> H>);

impl<T: Payload> HandsOn for Given<T> {
    type Output = T;

    fn decode(stored: &str) -> Result<T, PayloadError> {
        T::decode(stored)
    }
}

impl<T: Payload> HandsOnItems for Given<Vec<T>>
where
    Vec<T>: Payload,
{
    type Item = T;

    fn decode_item(stored: &str) -> Result<T, PayloadError> {
        T::decode(stored)
    }
}

impl<S: Step> HandsOn for Call<S> {
    type Output = S::Output;

    fn decode(stored: &str) -> Result<S::Output, PayloadError> {
        S::Output::decode(stored)
    }
}

impl<S: Step<Output = Vec<T>>, T: Payload> HandsOnItems for Call<S> {
    type Item = T;

    fn decode_item(stored: &str) -> Result<T, PayloadError> {
        T::decode(stored)
    }
}

impl<P: Pipeline> HandsOn for Run<P> {
    type Output = P::Output;

    fn decode(stored: &str) -> Result<P::Output, PayloadError> {
        P::definition().output(stored)
    }
}

impl<P: Pipeline<Output = Vec<T>>, T: Payload> HandsOnItems for Run<P> {
    type Item = T;

    fn decode_item(stored: &str) -> Result<T, PayloadError> {
        T::decode(stored)
    }
}

impl<M: HandsOn> HandsOn for Each<M> {
    type Output = Vec<M::Output>;

    fn decode(stored: &str) -> Result<Vec<M::Output>, PayloadError> {
        parts(stored)?.into_iter().map(|part| M::decode(part.get())).collect()
    }
}

impl<M: HandsOn> HandsOnItems for Each<M> {
    type Item = M::Output;

    fn decode_item(stored: &str) -> Result<M::Output, PayloadError> {
        M::decode(stored)
    }
}

impl<H: HandsOnItems> HandsOn for ItemOf<H> {
    type Output = H::Item;

    fn decode(stored: &str) -> Result<H::Item, PayloadError> {
        H::decode_item(stored)
    }
}

/// The texts of a stored list.
fn parts(stored: &str) -> Result<Vec<&RawValue>, PayloadError> {
    serde_json::from_str(stored)
        .map_err(|error| PayloadError::new::<Vec<serde_json::Value>>("decoded", &error))
}

macro_rules! groups {
    ($(($($member:ident)+))+) => {$(
        impl<$($member: HandsOn),+> HandsOn for ($($member,)+) {
            type Output = ($($member::Output,)+);

            fn decode(stored: &str) -> Result<Self::Output, PayloadError> {
                let mut parts = parts(stored)?.into_iter().map(RawValue::get);
                Ok(($($member::decode(parts.next().unwrap_or_default())?,)+))
            }
        }
    )+};
}

groups! {
    (A B)
    (A B C)
    (A B C D)
    (A B C D E)
    (A B C D E F)
    (A B C D E F G)
    (A B C D E F G H)
}
