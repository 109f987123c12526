//! The seam between the engine and storage.
//!
//! [`Repository`] has four methods that a back end must write and four more that it may write: to be faster, and to say
//! how it is. What the calls mean is code in here ([`Update::apply`], [`Filter::page`], [`Run::claim`]): a store that can
//! hold a run as a value is those plus a map ([`Runs`]), one that speaks SQL does the same in SQL. The suite in
//! `prorch-testkit` tells whether it does.

mod ask;
mod clocks;
mod contract;
mod erased;
mod error;
mod health;
mod kin;
mod gates;
mod runs;
mod memory;
mod handed;

use kin::Kin;

pub(crate) use ask::{Asked, ask};

pub use clocks::{Clocks, HolderClock, HolderTime, Leases};
pub use contract::{Claim, ClaimRequest, Outlook, Repository, Saved, Turn};
pub use erased::{AnyRepository, BoxFuture};
pub use error::{StoreError, StoreErrorKind};
pub use handed::MAX_HANDED;
pub use health::{Concern, ConcernKind, Health};
pub use memory::MemoryRepository;
pub use runs::{Runs, check_new, check_update};

pub(crate) use handed::{HandedError, handed_on_by_run, handed_on_by_stage};

pub use crate::model::{
    Answer, Append, Blocked, Cap, Cause, CauseKind, Child, Compensation, Cursor, DEFAULT_PAGE, Definition,
    Epoch, Fan, Filter, Gate, Guard, HistoryEntry, HistoryKind, Hold, Lease, LimitKind, Limits, Locator,
    MAX_REASON, MAX_TAKEN_BYTES, MAX_TAKEN_RECORDS, Mail, Message, MessageId, Metadata, NewRun, Order,
    Origin, Page, Parent, Part, Permits, Position, Post, Rate, Rated, RecordWrite, Removal, Run, RunId,
    RunState, Status, StepProgress, StepRecord, StoredRun, Text, Timestamp, Undo, UndoPhase, Update, Want,
    Wants, WorkerId, definition_key,
};

/// The longest key, name or signal name, in bytes.
pub const MAX_NAME_BYTES: usize = 256;
/// The most rows that the engine writes in one batch.
pub const MAX_BATCH_ROWS: usize = 1_000;
/// The most bytes of payload that the engine writes in one batch, unless one update alone has more.
pub const MAX_BATCH_BYTES: usize = 8 << 20;
