//! What flows from step to step: payloads, stored as JSON text.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::Text;

/// What can be stored between steps: everything with serde's `Serialize` and `Deserialize`.
///
/// Payloads are kept as JSON text. What the next step gets is always decoded from that text, so a type that loses
/// something on the way (a map with keys that aren't text, a float that is not a number) shows it at once and not only
/// after a crash.
///
/// There is nothing to implement: derive serde's two traits.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be stored between the steps of a pipeline",
    label = "this lacks serde's `Serialize` and `Deserialize`",
    note = "write `#[derive(serde::Serialize, serde::Deserialize)]` above `{Self}`"
)]
pub trait Payload: Sized + Send + 'static {
    /// The value as JSON text.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] when the value has no JSON form.
    fn encode(&self) -> Result<Text, PayloadError>;

    /// The value that this JSON text stands for.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] when it stands for no such value.
    fn decode(json: &str) -> Result<Self, PayloadError>;
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Send + 'static> Payload for T {
    fn encode(&self) -> Result<Text, PayloadError> {
        let json = serde_json::to_string(self).map_err(|error| PayloadError::new::<T>("encoded", &error))?;
        Ok(Text::from(json))
    }

    fn decode(json: &str) -> Result<Self, PayloadError> {
        serde_json::from_str(json).map_err(|error| PayloadError::new::<T>("decoded", &error))
    }
}

/// A value that could not be encoded, or a text that could not be decoded.
#[derive(Debug, thiserror::Error)]
#[error("a `{type_name}` can't be {verb}: {reason}")]
pub struct PayloadError {
    type_name: &'static str,
    verb: &'static str,
    reason: String,
    line: usize,
    column: usize,
}

impl PayloadError {
    pub(crate) fn new<T: ?Sized>(verb: &'static str, reason: &serde_json::Error) -> Self {
        let (line, column) = (reason.line(), reason.column());
        Self { type_name: std::any::type_name::<T>(), verb, reason: reason.to_string(), line, column }
    }

    /// The text stands for a value of another type, whatever it says.
    pub(crate) fn another_type<T>() -> Self {
        let reason = "the last step hands on another type".to_owned();
        Self { type_name: std::any::type_name::<T>(), verb: "decoded", reason, line: 0, column: 0 }
    }

    /// What is wrong, without what is said of the value itself: that may be a part of it, which is not for a log.
    pub(crate) fn without_values(&self) -> String {
        let Self { type_name, verb, line, column, .. } = self;
        format!("a `{type_name}` can't be {verb}: it is another value from line {line}, column {column} on")
    }
}
