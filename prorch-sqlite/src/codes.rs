//! What stands in the columns for words, times and numbers of 64 bits.

use std::time::Duration;

use prorch_core::repository::{CauseKind, Metadata, Status, Text};
use serde::Serialize;

use crate::error::Fault;

/// A status as its number; of those that say that a run ended, none is less than 2.
pub(crate) const fn status_code(status: Status) -> i64 {
    match status {
        Status::Created => 0,
        Status::Pending => 1,
        Status::Finished => 2,
        Status::Failed => 3,
        Status::Cancelled => 4,
    }
}

pub(crate) fn status_of(code: i64) -> Option<Status> {
    Status::ALL.into_iter().find(|status| status_code(*status) == code)
}

const CAUSES: [(CauseKind, i64); 8] = [
    (CauseKind::Error, 0),
    (CauseKind::Deadline, 1),
    (CauseKind::Crash, 2),
    (CauseKind::Refused, 3),
    (CauseKind::Cancelled, 4),
    (CauseKind::Child, 5),
    (CauseKind::Undo, 7),
    (CauseKind::InDoubt, 8),
];

pub(crate) fn cause_code(kind: CauseKind) -> Result<i64, Fault> {
    let found = CAUSES.iter().find(|(known, _)| *known == kind);
    found.map(|(_, code)| *code).ok_or_else(|| Fault::unstorable(format!("a cause of the kind {kind:?}")))
}

pub(crate) fn cause_of(code: i64) -> Option<CauseKind> {
    CAUSES.iter().find(|(_, known)| *known == code).map(|(kind, _)| *kind)
}

/// Whole microseconds; a length that can't be written down is the longest one.
pub(crate) fn micros(length: Duration) -> i64 {
    i64::try_from(length.as_micros()).unwrap_or(i64::MAX)
}

pub(crate) const fn length_of(micros: i64) -> Duration {
    Duration::from_micros(micros.unsigned_abs())
}

/// What is being undone, as JSON; few runs have it.
pub(crate) fn undo_text(undo: &impl Serialize) -> Result<String, Fault> {
    serde_json::to_string(undo).map_err(|error| Fault::unstorable(format!("what is being undone: {error}")))
}

/// JSON, or nothing for what most runs have: none.
pub(crate) fn spared_text(spared: &[Text]) -> Result<Option<String>, Fault> {
    let encoded = (!spared.is_empty()).then(|| serde_json::to_string(spared));
    encoded.transpose().map_err(|error| Fault::unstorable(format!("the limits that it is spared: {error}")))
}

/// JSON, or nothing for what most runs have: no metadata.
pub(crate) fn metadata_text(metadata: &Metadata) -> Result<Option<String>, Fault> {
    if metadata.is_empty() {
        return Ok(None);
    }
    let encoded = serde_json::to_string(metadata);
    encoded.map(Some).map_err(|error| Fault::unstorable(format!("the metadata: {error}")))
}
