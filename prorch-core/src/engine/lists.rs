use std::collections::VecDeque;
use std::sync::Arc;

use super::handed::{Handed, Items};
use super::slots::Held;
use crate::model::RunId;
use crate::repository::MAX_HANDED;

/// The most lists that are kept, however short they are.
const MOST: usize = 64;

/// The lists of runs that were given back at a stage which goes through one.
///
/// A run that waits for many children is claimed again as they end. To read its list and take it apart each time would
/// make the work grow with the square of the list. What a stage gets never changes, so a list that was kept is as good as
/// one that is read; one that was not kept is read.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// The latest last.
    kept: VecDeque<(RunId, u32, Arc<Items>)>,
    bytes: usize,
}

impl Lists {
    /// Keeps the list of a run that is given back. Where there is no room, the oldest make some.
    pub(super) fn keep(&mut self, held: Held) {
        let (run, at) = (&held.stored.run, held.stored.stage());
        let Some((stage, Handed::Items(items))) = held.gathered else { return };
        if run.status().is_terminal() || stage != at || items.bytes() > MAX_HANDED {
            return;
        }
        self.bytes += items.bytes();
        self.kept.push_back((run.id, stage, items));
        while self.bytes > MAX_HANDED || self.kept.len() > MOST {
            let Some((.., oldest)) = self.kept.pop_front() else { break };
            self.bytes -= oldest.bytes();
        }
    }

    /// The list of a run that is claimed, if it was kept.
    pub(super) fn take(&mut self, run: RunId) -> Option<(u32, Handed)> {
        let at = self.kept.iter().position(|(of, ..)| *of == run)?;
        let (_, stage, items) = self.kept.remove(at)?;
        self.bytes -= items.bytes();
        Some((stage, Handed::Items(items)))
    }
}
