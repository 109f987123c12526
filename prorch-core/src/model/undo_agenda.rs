//! What is to be done with a run that is undone.

use std::collections::BTreeSet;

use super::agenda::{Look, waiting_signal};
use super::undoing::undo_wakes;
use super::{Agenda, Event, Position, Run, StepRecord, Text, Timestamp, UndoPhase};

impl Look<'_> {
    /// What is next, if the run is being undone.
    pub(super) fn undo(&self) -> Result<Option<Agenda>, Text> {
        match self.run.run.state.undo_phase() {
            Some(UndoPhase::Ending) => Ok(Some(self.ending())),
            Some(UndoPhase::Undoing) => self.window().map(Some),
            Some(UndoPhase::Undone | UndoPhase::Stuck) | None => Ok(None),
        }
    }

    fn ending(&self) -> Agenda {
        let waits = self.run.current().any(StepRecord::is_open);
        if waits { Agenda::Rest(None) } else { Agenda::Decide(Event::Settled) }
    }

    /// Those that are undone next: each is called when it is due, and of those that killed their worker one at a time.
    fn window(&self) -> Result<Agenda, Text> {
        let next = self.plan.undone_next(self.run.current());
        if next.is_empty() || self.run.current().any(StepRecord::is_stuck) {
            return Ok(self.alone(Agenda::Decide(Event::Settled)));
        }
        let stage = self.stage()?;
        for record in &next {
            let step = stage.member(record.position.item).ok_or("the pipeline has no such step")?;
            self.fits(record, step)?;
        }
        let under_way: BTreeSet<&Position> = self.under_way.iter().collect();
        let idle = next.iter().filter(|record| !under_way.contains(&record.position));
        let mut due: Vec<&StepRecord> =
            idle.copied().filter(|record| self.undo_wakes(record).is_some_and(|at| at <= self.now)).collect();
        let crashes = self.run.run.state.crashes;
        if crashes >= Run::SUSPECT_AFTER {
            if let Some(culprit) = self.culprit(&mut due, next[0]) {
                return Ok(Agenda::Decide(Event::Crashed(culprit)));
            }
            due.truncate(usize::from(self.under_way.is_empty()));
        }
        if !due.is_empty() {
            return Ok(Agenda::Call(due.into_iter().cloned().collect()));
        }
        Ok(self.alone(Agenda::Rest(next.iter().filter_map(|record| self.undo_wakes(record)).min())))
    }

    /// Brings the likelier culprits to the front, and names the one that cut off its worker too often.
    fn culprit(&self, due: &mut [&StepRecord], otherwise: &StepRecord) -> Option<Position> {
        due.sort_by_key(|record| record.undo.as_ref().map(|undo| undo.due_at));
        let crashes = self.run.run.state.crashes;
        let is_over = crashes > Run::SUSPECT_AFTER && crashes >= self.crash_cap && self.under_way.is_empty();
        is_over.then(|| due.first().copied().unwrap_or(otherwise).position)
    }

    fn undo_wakes(&self, record: &StepRecord) -> Option<Timestamp> {
        undo_wakes(record, |name| waiting_signal(self.run, name, &[]), self.now)
    }
}
