//! What runs are stored under.

use serde::{Deserialize, Serialize};

use super::Text;

/// Which list of steps a run was started with: the pipeline's name, a fingerprint of the list, and the list.
///
/// Name and fingerprint say which one it is, and they alone are compared. A store keeps one list for each, and the first
/// that it was given will do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Definition {
    /// The pipeline's name.
    pub pipeline: Text,
    /// A fingerprint of its version and of the names of its steps, in order.
    pub fingerprint: u64,
    /// The list, as JSON (see [`StepList`](super::StepList)); empty where it is not known.
    pub list: Text,
}

impl Definition {
    /// A definition of which the list is not known.
    #[must_use]
    pub fn new(pipeline: impl Into<Text>, fingerprint: u64) -> Self {
        Self { pipeline: pipeline.into(), fingerprint, list: Text::default() }
    }

    fn which(&self) -> (&Text, u64) {
        (&self.pipeline, self.fingerprint)
    }
}

impl PartialEq for Definition {
    fn eq(&self, other: &Self) -> bool {
        self.which() == other.which()
    }
}

impl Eq for Definition {}

impl PartialOrd for Definition {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Definition {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.which().cmp(&other.which())
    }
}

impl std::hash::Hash for Definition {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.which().hash(state);
    }
}
