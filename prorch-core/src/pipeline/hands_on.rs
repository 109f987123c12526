//! What stages hand on, as types: how the outputs of their members, as they are stored, become values again.

use std::marker::PhantomData;

use serde_json::value::RawValue;

use super::Pipeline;
use crate::model::Text;
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

    /// The list of which this is an item, where the stored text stands for it and is none itself.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] when the text stands for no such list.
    fn list_of(_stored: &str) -> Result<Option<Text>, PayloadError> {
        Ok(None)
    }
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

    /// The list as JSON, where that is another text than the stored one.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] when the stored text stands for no such list.
    fn list(_stored: &str) -> Result<Option<Text>, PayloadError> {
        Ok(None)
    }
}

/// A list, with items that can be stored.
#[diagnostic::on_unimplemented(
    message = "`each(…)` goes through a list, and what stands before it hands on `{Self}`",
    label = "this takes the items of a list",
    note = "let the step before it hand on a `Vec`, or leave `each` out"
)]
pub trait List: Payload {
    /// What it holds.
    type Item: Payload;
}

impl<T: Payload> List for Vec<T>
where
    Self: Payload,
{
    type Item = T;
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

/// What the pipeline `P` ends with, which leads to the mark of a run of it. What is no pipeline ends with nothing that is
/// known: the compiler says so where it is named, and then nothing more about the group that it stands in.
pub trait EndOf<P> {
    /// The mark.
    type Marker: HandsOn;
}

impl<P: Pipeline<Output = Out>, Out> EndOf<P> for Out {
    type Marker = Run<P>;
}

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

impl<T: List> HandsOnItems for Given<T> {
    type Item = T::Item;

    fn decode_item(stored: &str) -> Result<T::Item, PayloadError> {
        T::Item::decode(stored)
    }
}

impl<S: Step> HandsOn for Call<S> {
    type Output = S::Output;

    fn decode(stored: &str) -> Result<S::Output, PayloadError> {
        S::Output::decode(stored)
    }
}

impl<S: Step> HandsOnItems for Call<S>
where
    S::Output: List,
{
    type Item = <S::Output as List>::Item;

    fn decode_item(stored: &str) -> Result<Self::Item, PayloadError> {
        Self::Item::decode(stored)
    }
}

impl<P: Pipeline> HandsOn for Run<P> {
    type Output = P::Output;

    fn decode(stored: &str) -> Result<P::Output, PayloadError> {
        P::definition().output(stored)
    }
}

impl<P: Pipeline> HandsOnItems for Run<P>
where
    P::Output: List,
{
    type Item = <P::Output as List>::Item;

    fn decode_item(stored: &str) -> Result<Self::Item, PayloadError> {
        Self::Item::decode(stored)
    }

    /// What is stored is what its last step handed on; the list is what that turns into.
    fn list(stored: &str) -> Result<Option<Text>, PayloadError> {
        let definition = P::definition();
        if !definition.turns_its_output() {
            return Ok(None);
        }
        definition.output::<P::Output>(stored)?.encode().map(Some)
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

    fn list_of(stored: &str) -> Result<Option<Text>, PayloadError> {
        H::list(stored)
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
