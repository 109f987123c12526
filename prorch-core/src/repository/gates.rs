//! What is taken of the limits, kept by a map of runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Blocked, Gate, Text, Timestamp, Wants};

/// The limits of which anything was ever taken, by their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Gates {
    by_key: BTreeMap<Text, Gate>,
}

impl Gates {
    /// Takes all that a run wants, which says under which new keys it counts; or nothing, and says what it waits for.
    pub(super) fn admit(&mut self, wants: &Wants, now: Timestamp) -> Result<Vec<Text>, Blocked> {
        for want in &wants.caps {
            self.gate(&want.key).most = want.most;
        }
        if let Some(full) = wants.caps.iter().find(|want| !want.has && !self.gate(&want.key).has_room()) {
            return Err(Blocked { by: full.key.clone(), until: None });
        }
        if let Some(rated) = &wants.rate {
            let gate = self.gate(&rated.key);
            if let Some(expected) = gate.expected.filter(|_| rated.rate.room(gate.expected, now) == 0) {
                return Err(Blocked { by: rated.key.clone(), until: Some(rated.rate.opens_at(expected)) });
            }
            gate.expected = Some(rated.rate.after(gate.expected, now));
        }
        let new = wants.caps.iter().filter(|want| !want.has).map(|want| want.key.clone());
        Ok(new.inspect(|key| self.gate(key).taken += 1).collect())
    }

    /// Counts one more under this key, which had it before.
    pub(super) fn hold(&mut self, key: &Text) {
        self.gate(key).taken += 1;
    }

    /// One that counted under this key does so no more.
    pub(super) fn free(&mut self, key: &Text) {
        let gate = self.gate(key);
        gate.taken = gate.taken.saturating_sub(1);
    }

    /// Counts one more under this key, if there is room.
    pub(super) fn hand_over(&mut self, key: &Text) -> bool {
        let gate = self.gate(key);
        let has_room = gate.has_room();
        gate.taken += u32::from(has_room);
        has_room
    }

    /// Whether one more may count under this key.
    pub(super) fn has_room(&self, key: &Text) -> bool {
        self.by_key.get(key).is_none_or(Gate::has_room)
    }

    fn gate(&mut self, key: &Text) -> &mut Gate {
        self.by_key.entry(key.clone()).or_insert(Gate::NEW)
    }
}
