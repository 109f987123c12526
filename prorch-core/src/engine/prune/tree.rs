use std::collections::HashSet;

use super::{CHANGED, Kin, RESTARTED, Sweep, is_open};
use crate::model::{Cursor, Filter, Removal, Run, RunId};
use crate::repository::StoreError;

impl Sweep {
    /// Removes a run with all that it has started, and what those have started: from below, under a seal.
    pub(super) async fn remove_tree(&mut self, root: Run) -> Result<(), StoreError> {
        if !root.sealed
            && let Some(why) = self.in_the_way(&root).await?
        {
            self.keep(&root, &why);
            return Ok(());
        }
        let top = root.clone();
        // Each is to go when nothing below it is left.
        let mut levels = vec![vec![root]];
        while let Some(level) = levels.last_mut() {
            let below = Kin::Children.of(&Self::ids(level));
            let children = self.page(&below).await?.runs;
            if children.is_empty() {
                let level = levels.pop().unwrap_or_default();
                if !self.remove_batch(level).await?.is_empty() {
                    self.keep(&top, CHANGED);
                    return Ok(());
                }
            } else if let Some(open) = children.iter().find(|run| is_open(run)) {
                self.keep(&top, &not_ended(open));
                return Ok(());
            } else if self.seal(level, &children).await? {
                levels.push(children);
            } else {
                self.keep(&top, CHANGED);
                return Ok(());
            }
        }
        Ok(())
    }

    /// Why a tree of which nothing is removed yet is to stay for now.
    async fn in_the_way(&mut self, root: &Run) -> Result<Option<String>, StoreError> {
        let mut levels = vec![(vec![root.id], None)];
        while let Some((level, after)) = levels.last_mut() {
            let first = after.is_none();
            let children = self.page(&Filter { after: *after, ..Kin::Children.of(level) }).await?;
            if first && !self.page(&Kin::Restarted.of(level)).await?.runs.is_empty() {
                return Ok(Some(RESTARTED.to_owned()));
            }
            let (children, is_last) = (children.runs, children.is_last);
            if let Some(open) = children.iter().find(|run| is_open(run)) {
                return Ok(Some(not_ended(open)));
            }
            match children.last().filter(|_| !is_last) {
                Some(last) => *after = Some(Cursor(last.id)),
                None => drop(levels.pop()),
            }
            if !children.is_empty() {
                levels.push((Self::ids(&children), None));
            }
        }
        Ok(None)
    }

    /// Seals those of the runs that have these children: from then on nobody retries or restarts them. Says whether all are.
    async fn seal(&mut self, level: &mut [Run], children: &[Run]) -> Result<bool, StoreError> {
        let parents: HashSet<RunId> = children.iter().filter_map(|run| Kin::Children.source(run)).collect();
        let unsealed = level.iter().filter(|run| !run.sealed && parents.contains(&run.id));
        let unsealed: Vec<Run> = unsealed.cloned().collect();
        let sealed = self.write(&unsealed, Removal::Seal).await?;
        let mut is_all = true;
        for run in level.iter_mut().filter(|run| !run.sealed && parents.contains(&run.id)) {
            match sealed.iter().find(|sealed| sealed.id == run.id && sealed.sealed) {
                Some(sealed) => run.clone_from(sealed),
                None => is_all = false,
            }
        }
        Ok(is_all)
    }

    fn ids(runs: &[Run]) -> Vec<RunId> {
        runs.iter().map(|run| run.id).collect()
    }
}

fn not_ended(open: &Run) -> String {
    format!("run {}, which stands below it, is {} and has not ended", open.id, open.status())
}
