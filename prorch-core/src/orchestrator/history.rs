use super::Orchestrator;
use crate::error::Error;
use crate::model::{
    HistoryEntry, HistoryKind, Part, Position, RunId, Status, StepRecord, StoredRun, Text, Timestamp,
};
use crate::repository::ask;

/// How many of the records and of the entries that are stored come into a history.
const SHOWN: usize = 1_000;

/// What happened to a run, in the order of time. See [`Orchestrator::history`].
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RunHistory {
    /// What is kept of it.
    pub entries: Vec<HistoryEntry>,
    /// How many entries are left out, behind the first ones that are kept.
    pub left_out: u32,
}

impl Orchestrator {
    /// What happened to a run: its start, its steps, errors of attempts, calls that were cut off, signals and what operators
    /// did, with who it was, and its end.
    ///
    /// It is bounded: how much is kept says [`OrchestratorConfig::history`](crate::config::OrchestratorConfig::history), and of
    /// a long list the first thousand steps are shown.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], or [`Error::Store`] when the repository can't be read.
    pub async fn history(&self, id: RunId) -> Result<RunHistory, Error> {
        let records = self.read_part(id, Part::Records { from: Position::default(), limit: SHOWN }).await?;
        let kept = self.read_part(id, Part::History { from: 0, limit: SHOWN }).await?.history;
        let numbers: Vec<u32> = kept.keys().copied().collect();
        let last = numbers.last().map_or(0, |last| last + 1);
        let left_out = last.saturating_sub(u32::try_from(numbers.len()).unwrap_or(u32::MAX));
        let mut entries = of_row(&records);
        entries.extend(records.records.values().flat_map(of_record));
        entries.extend(kept.into_values());
        entries.extend(end(&records));
        entries.sort_by_key(|entry| entry.at);
        Ok(RunHistory { entries, left_out })
    }

    async fn read_part(&self, id: RunId, part: Part) -> Result<StoredRun, Error> {
        ask(|| self.shared.repository.get(id, part)).await?.answer.ok_or(Error::NotFound(id))
    }
}

fn of_row(stored: &StoredRun) -> Vec<HistoryEntry> {
    let run = &stored.run;
    let started = HistoryEntry::new(HistoryKind::Started, run.created_at);
    let text = match (&run.parent, &run.origin, &run.key) {
        (Some(parent), _, _) => Some(format!("by run {}, at {}", parent.run, parent.position)),
        (_, Some(origin), _) => Some(format!("from step `{}` of run {}", origin.step, origin.run)),
        (_, _, Some(key)) => Some(format!("with the key `{key}`")),
        _ => None,
    };
    let started = HistoryEntry { text: text.map(Text::from), ..started };
    let begun = run.state.started_at.map(|at| HistoryEntry::new(HistoryKind::Begun, at));
    [Some(started), begun].into_iter().flatten().collect()
}

fn of_record(record: &StepRecord) -> impl Iterator<Item = HistoryEntry> {
    let entry = |kind, at: Timestamp| {
        let step = Some(record.name.clone());
        HistoryEntry { step, ..HistoryEntry::new(kind, at) }
    };
    let finished = record.ended_at.filter(|_| record.status == Status::Finished);
    let finished = finished.map(|at| entry(HistoryKind::Finished, at));
    [Some(entry(HistoryKind::Entered, record.entered_at)), finished].into_iter().flatten()
}

/// The end of a run that has finished; other ends are kept as entries, since they may not be the last.
fn end(stored: &StoredRun) -> Option<HistoryEntry> {
    let state = &stored.run.state;
    let at = state.ended_at.filter(|_| state.status == Status::Finished)?;
    Some(HistoryEntry::new(HistoryKind::Ended, at).with_text("finished"))
}
