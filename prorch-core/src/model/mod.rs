//! The words of prorch and its state machine, as plain values.
//!
//! Nothing in here waits, reads a clock, does I/O or draws a random number: time and chance come in as arguments.
//! That is what lets live running, recovery after a crash, an operator's cancel and every test go through the
//! same code.

mod text;
mod id;
mod time;
mod status;
mod policy;
mod record;
mod message;
mod definition;
mod run;
mod part;
mod update;
mod removal;
mod filter;
mod outcome;
mod limit;
mod list;
mod schedule;
mod fit;
mod plan;
mod event;
mod decision;
mod agenda;
mod transition;
mod stages;
mod doubt;
mod rates;
mod restart;
mod undo;
mod undo_agenda;
mod undoing;
mod history;

pub use agenda::{Agenda, agenda, first_record};
pub use decision::{Decision, Next};
pub use definition::Definition;
pub use doubt::{NoVerdict, Verdict};
pub use event::{Event, EventKind, Refusal};
pub use filter::{Cursor, DEFAULT_PAGE, Filter, Order, Page};
pub use fit::{Fit, Here};
pub use history::{Append, Happened, HistoryEntry, HistoryKind, MAX_HISTORY_TEXT, history_of};
pub use id::{Epoch, Locator, MessageId, RunId, WorkerId};
pub use limit::{Blocked, Cap, Gate, LimitKind, Limits, Permits, Rate, Rated, Want, Wants};
pub use list::{FIRST_VERSION, ListedForm, ListedKind, ListedStage, ListedStep, StepList, type_name};
pub use message::{Mail, Message};
pub use outcome::{Answered, Hook, Kept, Outcome};
pub use part::Part;
pub use plan::{Begins, Plan, StagePlan, StepPlan, definition_key};
pub use policy::{Jitter, RetryPolicy, StepPolicy};
pub use record::{Child, Fan, Metadata, Position, StepProgress, StepRecord};
pub use removal::Removal;
pub use restart::{MAX_TAKEN_BYTES, MAX_TAKEN_RECORDS, NoRestart, Restart};
pub use run::{Cause, CauseKind, Lease, NewRun, Origin, Parent, Run, RunState, StoredRun};
pub use schedule::{Missed, Overlap, ScheduleChange, ScheduleSpec, ScheduleState, shown as shown_tick};
pub use status::Status;
pub use text::{MAX_REASON, Text, bounded};
pub use time::Timestamp;
pub use transition::{call_deadline, transition};
pub use undo::{Compensation, Undo, UndoOn, UndoPhase};
pub use update::{Answer, Guard, Hold, Post, RecordWrite, Update};
