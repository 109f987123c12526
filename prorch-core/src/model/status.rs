use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where a run or a step stands. The same five for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Stored; no call was answered yet.
    Created,
    /// Begun and not ended.
    Pending,
    /// Ended well.
    Finished,
    /// Ended by an error.
    Failed,
    /// Ended because somebody said so.
    Cancelled,
}

impl Status {
    /// All five, in the order of a life.
    pub const ALL: [Self; 5] = [Self::Created, Self::Pending, Self::Finished, Self::Failed, Self::Cancelled];

    /// The two in which there is something left to do.
    pub const ACTIVE: [Self; 2] = [Self::Created, Self::Pending];

    /// Whether nothing more will happen by itself (finished, failed or cancelled).
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Finished | Self::Failed | Self::Cancelled)
    }

    /// The word that is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Pending => "pending",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The error of reading a [`Status`] from a word that is none of the five.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no status: it is one of created, pending, finished, failed, cancelled")]
pub struct UnknownStatus(String);

impl FromStr for Status {
    type Err = UnknownStatus;

    fn from_str(word: &str) -> Result<Self, UnknownStatus> {
        Self::ALL.into_iter().find(|status| status.as_str() == word).ok_or_else(|| UnknownStatus(word.into()))
    }
}
