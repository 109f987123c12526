//! Steps that are started at a rate: a run comes to one by being given back, and the claim that starts it takes of the rate.

use super::transition::Facts;
use super::{Decision, Next, Position, RecordWrite, Status, StepRecord, Text};

impl Facts<'_> {
    /// The decision with what it means for rates: whether the next call starts a step that has one. A run that comes to such
    /// a step is not gone on with.
    pub(super) fn rated(&self, mut decision: Decision) -> Decision {
        let old = self.run.run.state.starts.as_ref();
        let (starts, comes_to_it) = self.starts_after(&decision);
        if starts.as_ref() != old {
            let state = decision.state.get_or_insert_with(|| self.run.run.state.clone());
            state.starts = starts;
        }
        if comes_to_it && decision.next == Next::GoOn {
            decision.next = Next::Wait(Some(self.now));
        }
        decision
    }

    /// The key of the rate at which the next call starts its step, and whether the run has just come to that.
    fn starts_after(&self, decision: &Decision) -> (Option<Text>, bool) {
        let state = decision.state.as_ref().unwrap_or(&self.run.run.state);
        if decision.next == Next::End || state.is_undoing() || state.fan.is_some() {
            return (None, false);
        }
        let written = decision.records.iter().max_by_key(|write| write.record().position);
        let Some(write) = written else { return (self.starts_here(), false) };
        let comes_to_it = matches!(write, RecordWrite::New(_)) && write.record().position != self.first();
        let starts = self.starts(write.record());
        let comes_to_it = comes_to_it && starts.is_some();
        (starts, comes_to_it)
    }

    fn first(&self) -> Position {
        Position::of_stage(0)
    }

    /// As the run stands, where nothing is written of its records.
    fn starts_here(&self) -> Option<Text> {
        self.run.run.state.starts.clone()
    }

    fn starts(&self, record: &StepRecord) -> Option<Text> {
        let key = self.plan.starts(record.position.stage)?;
        (record.status == Status::Created).then(|| key.clone())
    }
}
