use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{MOST, MOST_BYTES, Sweep};
use crate::model::{
    Answer, Event, Guard, Locator, Part, Plan, Removal, Run, StoredRun, Timestamp, UndoOn, Update, transition,
};
use crate::repository::{StoreError, StoreErrorKind, ask};

/// How many records, messages and marks go in one batch, at the most.
const MOST_ROWS: usize = 2_000;
/// After a batch it is waited for as long as the batch took, and no longer than this: the store has other work to do.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

impl Sweep {
    /// Removes these runs, each with all that hangs on it; gives those that somebody has changed, and that stay.
    pub(super) async fn remove_batch(&mut self, runs: Vec<Run>) -> Result<Vec<Run>, StoreError> {
        let (mut left, mut changed) = (runs, Vec::new());
        while !left.is_empty() {
            let group: Vec<Run> = left.drain(..self.group.min(left.len())).collect();
            let (rows, bytes) = (MOST_ROWS / group.len(), MOST_BYTES / group.len());
            let still = self.write(&group, Removal::UpTo { rows, bytes }).await?;
            let in_pieces = still.iter().filter(|run| run.sealed).count();
            // How much hangs on a run is not known before: if it was too much for many, the next batch takes fewer.
            self.group = match in_pieces * 8 {
                many if many > group.len() => (self.group / 2).max(1),
                _ => (self.group * 2).min(MOST),
            };
            for run in still {
                if run.sealed { &mut left } else { &mut changed }.push(run);
            }
        }
        Ok(changed)
    }

    /// Writes one batch, and gives the runs that are there after it, as they are then. Those that are not sealed were
    /// changed by somebody else.
    pub(super) async fn write(&mut self, runs: &[Run], removal: Removal) -> Result<Vec<Run>, StoreError> {
        let now = self.shared.time.now();
        let updates: Arc<[Update]> = runs.iter().filter_map(|run| update(run, removal, now)).collect();
        if updates.is_empty() {
            return Ok(runs.to_vec());
        }
        let began = Instant::now();
        let answers = ask(|| self.shared.repository.update(updates.clone())).await?.answer;
        let took = began.elapsed();
        let mut there = Vec::new();
        for (update, answer) in updates.iter().zip(answers) {
            there.extend(self.answered(runs, update, answer).await?);
        }
        tokio::time::sleep(took.min(LONGEST_PAUSE)).await;
        Ok(there)
    }

    async fn answered(
        &mut self,
        runs: &[Run],
        update: &Update,
        answer: Answer,
    ) -> Result<Option<Run>, StoreError> {
        let run = runs.iter().find(|run| run.id == update.run);
        match answer {
            // Of a batch that is sent again since its answer was lost, those are gone that it removed the first time.
            Answer::Removed | Answer::Closed => {
                self.report.runs += 1;
                self.shared.waiters.ended(update.run);
                Ok(None)
            }
            Answer::Applied { .. } => {
                Ok(run.map(|run| Run { sealed: true, epoch: run.epoch.next(), ..run.clone() }))
            }
            Answer::Rejected(why) => Err(StoreError::new(StoreErrorKind::Refused, why.as_str())),
            Answer::Stale | Answer::Full => {
                let read = ask(|| self.shared.repository.get(update.run, Part::Row)).await?.answer;
                Ok(read.map(|stored| stored.run))
            }
        }
    }
}

/// The update that removes so much of a run; none when it has not ended.
fn update(run: &Run, removal: Removal, now: Timestamp) -> Option<Update> {
    let stored = StoredRun::bare(run.clone(), Locator::default());
    let plan = Plan { definition: run.definition.clone(), stages: Vec::new(), undo: UndoOn::NEVER };
    let decision = transition(&stored, &plan, Event::Remove(removal), &[], now).ok()?;
    Some(decision.into_update(&stored, Guard::Idle(run.epoch), now))
}
