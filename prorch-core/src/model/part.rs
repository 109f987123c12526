use std::collections::BTreeMap;

use super::{Position, Status, StepRecord, StoredRun};

/// How much of a run is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The row alone.
    Row,
    /// What a decision needs: of the stage that the run is at the record, or, where it has more than one member, those
    /// that have not finished; the first [`WORK_BEFORE`](Self::WORK_BEFORE) records of the stage before it; and the
    /// messages that were not taken. Of a run that is undone ([`Undo`](super::Undo), while it says where) the stage is that of the last
    /// record before `below`, and what comes of it are the last [`UNDO_AT_ONCE`](Self::UNDO_AT_ONCE) records before that.
    Work,
    /// At most `limit` records from position `from` on, in order.
    Records {
        /// The first position to read.
        from: Position,
        /// The most records to read.
        limit: usize,
    },
    /// At most `limit` entries of its history from this number on, in order.
    History {
        /// The first number to read.
        from: u32,
        /// The most entries to read.
        limit: usize,
    },
}

impl Part {
    /// How many records of the stage before come with [`Part::Work`]: as many as a group has members at most.
    pub const WORK_BEFORE: u32 = 8;
    /// How many records of its stage come of a run that is undone: so many are undone side by side at most.
    pub const UNDO_AT_ONCE: u32 = 16;
}

impl StoredRun {
    /// This run with only what `part` names.
    #[must_use]
    pub fn part(&self, part: Part) -> Self {
        let (records, inbox) = match part {
            Part::Row => (BTreeMap::new(), Vec::new()),
            Part::History { from, limit } => {
                let entries = self.history.range(from..).take(limit);
                let history = entries.map(|(number, entry)| (*number, entry.clone())).collect();
                return Self { history, ..Self::bare(self.run.clone(), self.locator) };
            }
            Part::Work => (self.frontier(), self.untaken().cloned().collect()),
            Part::Records { from, limit } => (
                self.records.range(from..).take(limit).map(|(at, record)| (*at, record.clone())).collect(),
                Vec::new(),
            ),
        };
        Self { records, inbox, ..Self::bare(self.run.clone(), self.locator) }
    }

    fn frontier(&self) -> BTreeMap<Position, StepRecord> {
        let stage = self.stage();
        let before = stage.checked_sub(1).map(Position::of_stage);
        let before = before
            .into_iter()
            .flat_map(|first| self.records.range(first..Position { item: Part::WORK_BEFORE, ..first }));
        if self.run.state.undo_below().is_some() {
            let here = self.records.range(self.frontier_bounds());
            return before.chain(here).map(|(at, record)| (*at, record.clone())).collect();
        }
        let fan = self.run.state.fan;
        let here = self.records.range(Position { stage, item: fan.map_or(0, |fan| fan.low) }..);
        let here = here.filter(|(_, record)| fan.is_none() || record.status != Status::Finished);
        before.chain(here).map(|(at, record)| (*at, record.clone())).collect()
    }
}
