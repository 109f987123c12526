use serde::{Deserialize, Serialize};

use super::{
    Answered, Decision, Event, Mail, MessageId, Outcome, Position, RunState, Status, StepRecord, StoredRun,
    Text, Timestamp, UndoPhase, bounded,
};

/// Something that happened to a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: HistoryKind,
    /// At which step, if at one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Text>,
    /// Which attempt of the step it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The error, the reason, or the name of a signal; at most [`MAX_HISTORY_TEXT`] bytes of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Text>,
    /// Who did it, or sent the message, as far as that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<Text>,
}

/// The kinds of [`HistoryEntry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum HistoryKind {
    /// The run was started.
    Started,
    /// A worker claimed it for the first time.
    Begun,
    /// It came to a step.
    Entered,
    /// A step ended as it should.
    Finished,
    /// A call of a step erred, took too long or panicked, and is made again.
    Erred,
    /// A step ended badly.
    Failed,
    /// Calls were cut off: the process ended, or lost its lease, so many times in a row. The worker that is named went on.
    CutOff,
    /// A step waits for the signal of this name.
    Waits,
    /// A step took the signal of this name.
    Signalled,
    /// It was cancelled, from outside or by a step.
    Cancelled,
    /// It was paused.
    Paused,
    /// It was let go on.
    Resumed,
    /// It had failed, and tries again.
    Retried,
    /// Somebody said what became of a step that was in doubt.
    Settled,
    /// A step said that nothing came of its first call, which is made again.
    StartsAgain,
    /// A worker could not go on with it, and left it as it is.
    Left,
    /// It is to end, and what its steps have done is undone first.
    Undoing,
    /// It ended: finished, failed or cancelled, as the text says.
    Ended,
}

/// The longest text of an entry, in bytes.
pub const MAX_HISTORY_TEXT: usize = 1_024;

/// So many entries of those that came first are kept, however many come.
const FIRST_KEPT: u32 = 10;

/// What an update adds to its run's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Append {
    /// In the order in which it happened.
    pub entries: Vec<HistoryEntry>,
    /// How many entries are kept: the first ten, and the last ones.
    pub most: u32,
}

impl Append {
    /// The numbers of the entries that go when the last one has this number: those in between.
    #[must_use]
    pub fn gap(&self, last: u32) -> std::ops::Range<u32> {
        let first = FIRST_KEPT.min(self.most);
        first..last.saturating_add(1 + first).saturating_sub(self.most).max(first)
    }
}

impl HistoryEntry {
    /// An entry that says no more than what and when.
    #[must_use]
    pub const fn new(kind: HistoryKind, at: Timestamp) -> Self {
        Self { at, kind, step: None, attempt: None, text: None, sender: None }
    }

    /// The same, with a text.
    #[must_use]
    pub fn with_text(self, text: &str) -> Self {
        Self { text: Some(bounded(text, MAX_HISTORY_TEXT)), ..self }
    }

    fn of(kind: HistoryKind, record: Option<&StepRecord>, at: Timestamp) -> Self {
        let step = record.map(|record| record.name.clone());
        Self { step, ..Self::new(kind, at) }
    }
}

/// What a decision adds to the history of its run: all that neither the run's row nor its records say afterwards. When a
/// step began and finished stands there, so a run without errors adds nothing.
#[must_use]
pub fn history_of(
    run: &StoredRun,
    happened: &Happened,
    decision: &Decision,
    now: Timestamp,
) -> Vec<HistoryEntry> {
    let mut entries: Vec<HistoryEntry> = happened.entry.clone().into_iter().collect();
    let signals = decision.taken.iter().filter_map(|id| signal(run, *id, now));
    entries.extend(signals.map(|entry| HistoryEntry { step: happened.step.clone(), ..entry }));
    let Some(state) = &decision.state else { return entries };
    let before = run.run.state.undo_phase();
    if before.is_none() && matches!(state.undo_phase(), Some(UndoPhase::Ending | UndoPhase::Undoing)) {
        entries.push(HistoryEntry::new(HistoryKind::Undoing, now));
    }
    entries.extend(cut_off(run, state, now));
    entries.extend(end(state, now));
    entries
}

/// What an event says to the history, before it is decided on.
#[derive(Clone, Debug, Default)]
pub struct Happened {
    entry: Option<HistoryEntry>,
    step: Option<Text>,
}

impl Happened {
    /// Of an event that happens to `run`; `sender` is who does it, where that is not said by a message.
    #[must_use]
    pub fn of(run: &StoredRun, event: &Event, sender: Option<&Text>, now: Timestamp) -> Self {
        let record = |position: &Position| run.records.get(position);
        let new = |kind| HistoryEntry::new(kind, now);
        let outside = |kind, message: &Option<MessageId>| {
            let sent = message.and_then(|id| run.untaken().find(|message| message.id == id));
            let sender = sent.map_or(sender, |message| message.sender.as_ref());
            HistoryEntry { sender: sender.cloned(), ..new(kind) }
        };
        let entry = match event {
            Event::Answered(answered, _) => return Self::answered(run, answered, now),
            Event::Expired(position) | Event::Crashed(position) => {
                Some(HistoryEntry::of(HistoryKind::Failed, record(position), now))
            }
            Event::ChildEnded { position, status, reason, .. } if *status != Status::Finished => {
                let entry = HistoryEntry::of(HistoryKind::Failed, record(position), now);
                Some(HistoryEntry {
                    text: reason.as_ref().map(|text| bounded(text, MAX_HISTORY_TEXT)),
                    ..entry
                })
            }
            Event::Leave(why) if run.run.state.stuck.as_ref() != Some(why) => {
                Some(new(HistoryKind::Left).with_text(why))
            }
            Event::Cancel { reason, message } => {
                Some(outside(HistoryKind::Cancelled, message).with_text(reason))
            }
            Event::Pause { message } => Some(outside(HistoryKind::Paused, message)),
            Event::Resume { message } => Some(outside(HistoryKind::Resumed, message)),
            Event::Retry => Some(outside(HistoryKind::Retried, &None)),
            Event::Verdict(position, verdict) => {
                let step = record(position).map(|record| record.name.clone());
                Some(HistoryEntry {
                    step,
                    ..outside(HistoryKind::Settled, &None).with_text(&verdict.to_string())
                })
            }
            _ => None,
        };
        Self { entry, step: None }
    }

    fn answered(run: &StoredRun, answered: &Answered, now: Timestamp) -> Self {
        let record = run.records.get(&answered.position);
        let step = record.map(|record| record.name.clone());
        let entry = |kind, text: &Text| {
            let entry = HistoryEntry { step: step.clone(), ..HistoryEntry::new(kind, now).with_text(text) };
            Some(HistoryEntry { attempt: Some(answered.attempt), ..entry })
        };
        let entry = match &answered.outcome {
            Outcome::Errored { error, .. } => entry(HistoryKind::Erred, error),
            Outcome::Failed(_, text) => entry(HistoryKind::Failed, text),
            Outcome::Cancelled(reason) => entry(HistoryKind::Cancelled, reason),
            Outcome::AwaitSignal { name, .. } => entry(HistoryKind::Waits, name),
            Outcome::StartAgain => {
                let step = step.clone();
                Some(HistoryEntry { step, ..HistoryEntry::new(HistoryKind::StartsAgain, now) })
            }
            // What a tick has started says itself when that was.
            Outcome::Finished(_) | Outcome::Pending(_) | Outcome::Spawn { .. } | Outcome::Ticked { .. } => {
                None
            }
        };
        Self { entry, step }
    }
}

/// Calls that were cut off stand in the row until something is answered; then only here.
fn cut_off(run: &StoredRun, state: &RunState, now: Timestamp) -> Option<HistoryEntry> {
    let before = run.run.state.crashes;
    let settled = before > 0 && (state.crashes < before || state.status.is_terminal());
    settled.then(|| {
        let holder = run.run.lease.map(|lease| Text::from(format!("worker {}", lease.holder)));
        let text = format!("{before} calls in a row; this is what became of the next one");
        HistoryEntry { sender: holder, ..HistoryEntry::new(HistoryKind::CutOff, now).with_text(&text) }
    })
}

fn signal(run: &StoredRun, id: MessageId, now: Timestamp) -> Option<HistoryEntry> {
    let message = run.untaken().find(|message| message.id == id)?;
    let Mail::Signal { name, .. } = &message.mail else { return None };
    let entry = HistoryEntry::new(HistoryKind::Signalled, now).with_text(name);
    Some(HistoryEntry { sender: message.sender.clone(), ..entry })
}

/// The end of a run that may be retried, so that its row may say something else later.
fn end(state: &RunState, now: Timestamp) -> Option<HistoryEntry> {
    let ended = matches!(state.status, Status::Failed | Status::Cancelled);
    ended.then(|| {
        let cause = state.cause.as_ref();
        let why = cause.map(|cause| format!(": {}", cause.text)).unwrap_or_default();
        let step = cause.and_then(|cause| cause.step.clone());
        HistoryEntry { step, ..HistoryEntry::new(HistoryKind::Ended, now) }
            .with_text(&format!("{}{why}", state.status))
    })
}
