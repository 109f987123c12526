//! Steps whose first call is made at most once, and what follows when it is not known what became of it.

use std::fmt;

use super::agenda::Look;
use super::transition::{Draft, Facts};
use super::{
    CauseKind, Decision, Hook, Kept, MAX_REASON, Next, Position, RecordWrite, RunState, Status, StepRecord,
    Text, bounded,
};

/// What somebody says became of a step that is in doubt.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It did its work, and hands on this JSON.
    Finished(Text),
    /// It can't be done, for this reason.
    Failed(Text),
    /// It did nothing: it may be called again as for the first time.
    StartAgain,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // What it hands on is a payload, and said nowhere.
            Self::Finished(_) => f.write_str("finished"),
            Self::Failed(reason) => write!(f, "failed: {reason}"),
            Self::StartAgain => f.write_str("start again"),
        }
    }
}

impl StepRecord {
    /// Whether it is written down that the first call of a step which is called at most once is about to be made, and no
    /// answer is: then it is not known whether that call did its work.
    #[must_use]
    pub const fn is_in_doubt(&self) -> bool {
        self.intent.is_some()
    }
}

impl Look<'_> {
    /// Whether it has to be written down before the record is called that it is.
    pub(super) fn wants_intent(&self, record: &StepRecord) -> bool {
        record.status == Status::Created
            && record.intent.is_none()
            && self.plan.step(record.position).is_some_and(|step| step.policy.at_most_once)
    }
}

impl Facts<'_> {
    /// Writes down that these are about to be called. That acquits nobody of the crashes before.
    pub(super) fn intend(&self, positions: &[Position]) -> Decision {
        let mut draft = Draft::default();
        if self.run.run.status() == Status::Created {
            self.state_of(&mut draft);
        }
        let records = positions.iter().map(|position| self.record(*position)).filter(StepRecord::is_open);
        let records = records.map(|record| StepRecord { intent: Some(self.now), ..record });
        draft.records = records.map(|record| self.write(record)).collect();
        draft.decision(Next::GoOn)
    }

    /// The step says that nothing came of its first call: that is made again, if the step has attempts left. Crashes stay
    /// counted: the call that is made again may be the one that kills its worker.
    pub(super) fn start_again(&self, position: Position, hook: Hook, kept: &Kept) -> Decision {
        if hook != Hook::Uncertain {
            let text = Text::from("the step answered `start_again`, which only `on_uncertain` may");
            return self.fail(position, CauseKind::Error, text);
        }
        let mut record = self.kept(position, kept);
        let retry = self.step(position).map(|step| step.policy.retry).unwrap_or_default();
        if record.errors > 0 && retry.is_exhausted_by(record.errors) {
            let error = record.error.clone().unwrap_or_default();
            return self.failed(record, CauseKind::Error, error);
        }
        record.due_at = Some(self.now);
        let mut draft = Draft { taken: kept.taken.clone(), ..Draft::default() };
        if !kept.run_metadata.is_empty() || self.run.run.status() == Status::Created {
            self.state_of(&mut draft).metadata.extend(kept.run_metadata.clone());
        }
        draft.records.push(self.write(record));
        self.rest(draft)
    }

    /// Whether the record at `position` ended badly, and is in doubt.
    pub(super) fn is_in_doubt(&self, position: Position) -> bool {
        let stage = self.run.stage();
        let record = self.run.records.get(&position).filter(|_| position.stage == stage);
        record.is_some_and(|record| !record.is_open() && record.is_in_doubt())
    }

    /// Somebody says what became of a step that is in doubt. But for a step that failed the run goes on by that, and what of
    /// the stage ended badly beside it is tried again, as by a retry.
    pub(super) fn verdict(&self, position: Position, verdict: Verdict) -> Decision {
        let record = StepRecord { intent: None, ..self.record(position) };
        if let Verdict::Failed(reason) = verdict {
            return self.stays_failed(record, reason);
        }
        let mut draft = self.reopening();
        draft.records.retain(|write| write.record().position != position);
        if let Verdict::Finished(output) = verdict {
            let mut record =
                StepRecord { output: Some(output.clone()), error: None, resumable: false, ..record };
            self.end(&mut record, Status::Finished);
            draft.records.push(RecordWrite::Changed(record));
            return self.finished(draft, position, Some(output));
        }
        let fresh = StepRecord::new(position, record.name, self.now);
        let record = StepRecord { metadata: record.metadata, ..fresh };
        draft.records.push(RecordWrite::Changed(record));
        draft.decision(Next::Wait(Some(self.now)))
    }

    fn stays_failed(&self, mut record: StepRecord, reason: Text) -> Decision {
        record.error = Some(reason.clone());
        self.end(&mut record, Status::Failed);
        let cause = self.cause(&record, CauseKind::Error, reason);
        let old = self.run.run.state.cause.as_ref();
        let is_its = old.is_none_or(|old| old.kind == CauseKind::InDoubt && old.step == cause.step);
        let state = is_its.then(|| RunState { cause: Some(cause), ..self.run.run.state.clone() });
        Draft { state, records: vec![RecordWrite::Changed(record)], ..Draft::default() }.decision(Next::End)
    }
}

/// The cause of a step that ends in doubt, beside the one that ended it.
pub(super) fn in_doubt(why: &Text) -> (CauseKind, Text) {
    let text = format!("in doubt, and for somebody to settle, whether its first call did its work: {why}");
    (CauseKind::InDoubt, bounded(&text, MAX_REASON))
}

/// Why it can't be said what became of a step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoVerdict {
    /// No such step of the run is in doubt.
    #[error("its step `{step}` is not in doubt{}", instead(.others))]
    NotInDoubt {
        /// The step.
        step: Text,
        /// Those that are.
        others: Vec<Text>,
    },

    /// More than one of its steps may be meant.
    #[error("several of its steps are in doubt: {}; say which by `.named(…)` or `.item(…)`", listed(.0))]
    Several(Vec<Text>),

    /// No orchestrator here knows what it executes, and so what comes next.
    #[error(
        "its pipeline `{0}` is unknown here: write `.pipeline::<MyPipeline>()` where the orchestrator is built"
    )]
    Unknown(Text),

    /// The run was started with another list of steps than the code has here, by which that can't go on.
    #[error("{0}")]
    Differs(Text),
}

fn instead(others: &[Text]) -> String {
    if others.is_empty() { String::new() } else { format!(", but {}", listed(others)) }
}

fn listed(names: &[Text]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
