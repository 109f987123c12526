//! What is drawn by chance.

use prorch_core::repository::*;

/// A small generator (splitmix64): a failure is seen again under the same seed.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    pub(crate) fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }

    pub(crate) fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.one_in(2) { Some(make(self)) } else { None }
    }

    pub(crate) fn text(&mut self) -> Text {
        let texts = ["", "null", "{\"a\":\"it's \\\"so\\\"\"}", "🦀\n\r\t", "[1,2,3]", "é%_\\"];
        Text::from(texts[self.roll(texts.len() as u64) as usize])
    }

    pub(crate) fn name(&mut self) -> Text {
        Text::from(["one", "two", "drei#2", "🦀"][self.roll(4) as usize])
    }

    pub(crate) fn metadata(&mut self) -> Metadata {
        let values =
            [serde_json::json!(1), serde_json::json!(1.0), serde_json::json!("x"), serde_json::json!(0.1)];
        (0..self.roll(3)).map(|n| (format!("m{n}"), values[self.roll(4) as usize].clone())).collect()
    }

    /// More than eight places, so that not all of a stage come with the next one.
    pub(crate) fn position(&mut self) -> Position {
        let item = if self.one_in(3) { self.roll(14) } else { 0 };
        Position { stage: self.roll(4) as u32, item: item as u32 }
    }

    /// How a run stands among many; what no run can be is left out, because a table refuses it.
    pub(crate) fn fan(&mut self) -> Fan {
        let width = self.maybe(|dice| dice.roll(14) as u32);
        let entered = self.roll(u64::from(width.unwrap_or(13)) + 1);
        let finished = self.roll(entered + 1);
        let low = self.roll(finished + 1);
        let [entered, finished, low] = [entered, finished, low].map(|count| count as u32);
        Fan { stage: self.roll(4) as u32, width, entered, finished, low }
    }

    /// How far a run is undone: before which of the few positions that there are.
    pub(crate) fn undo(&mut self) -> Undo {
        let phases = [UndoPhase::Ending, UndoPhase::Undoing, UndoPhase::Undone, UndoPhase::Stuck];
        let cause = self.maybe(|dice| Cause { step: None, kind: CauseKind::Error, text: dice.text() });
        Undo { phase: phases[self.roll(4) as usize], below: self.position(), cause }
    }

    pub(crate) fn compensation(&mut self) -> Box<Compensation> {
        Box::new(Compensation {
            status: self.status(),
            errors: self.roll(5) as u32,
            state: self.maybe(Self::text),
            error: self.maybe(Self::text),
            awaits: self.maybe(Self::name),
            ..Compensation::new(Timestamp::from_micros(self.roll(99) as i64))
        })
    }

    pub(crate) fn status(&mut self) -> Status {
        // Most runs stay open, so that there is something left to do.
        if self.one_in(6) { Status::ALL[self.roll(5) as usize] } else { Status::Pending }
    }
}
