use std::ops::Range;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::executor::words;
use super::slots::{Busy, Held, SlotId};
use super::wake::Inbound;
use super::worker::Worker;
use crate::model::{
    Answered, CauseKind, Event, Hold, Hook, Kept, MAX_REASON, Outcome, Position, StagePlan, Text, Timestamp,
    bounded,
};
use crate::repository::{HandedError, MAX_HANDED, handed_on_by_stage};

/// What a stage gets.
#[derive(Clone, Debug)]
pub(super) enum Handed {
    /// The same for each member, as JSON.
    Whole(Text),
    /// A list, of which each member gets an item.
    Items(Arc<Items>),
}

/// A list as JSON, and where its items stand in it.
#[derive(Debug)]
pub(super) struct Items {
    list: Text,
    spans: Vec<Range<usize>>,
}

impl Items {
    fn of(list: Text) -> Result<Self, HandedError> {
        let items: Vec<&RawValue> = serde_json::from_str(&list).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let text = format!("what was handed on is no list, from line {line}, column {column} on");
            HandedError::Missing(Text::from(text))
        })?;
        let begin = list.as_ptr() as usize;
        let span = |item: &&RawValue| {
            let from = item.get().as_ptr() as usize - begin;
            from..from + item.get().len()
        };
        let spans = items.iter().map(span).collect();
        Ok(Self { list, spans })
    }

    fn item(&self, item: u32) -> Option<Text> {
        self.spans.get(item as usize).map(|span| Text::from(&self.list[span.clone()]))
    }

    /// How much memory it takes, about.
    pub(super) fn bytes(&self) -> usize {
        self.list.len() + self.spans.len() * size_of::<Range<usize>>()
    }

    fn len(&self) -> u32 {
        u32::try_from(self.spans.len()).unwrap_or(u32::MAX)
    }
}

impl Handed {
    /// What the member at this place gets.
    pub(super) fn of(&self, item: u32) -> Option<Text> {
        match self {
            Self::Whole(text) => Some(text.clone()),
            Self::Items(items) => items.item(item),
        }
    }
}

impl Held {
    /// What the stage that the run is at gets, if it is known without reading.
    pub(super) fn handed(&self) -> Option<Handed> {
        let stage = self.stored.stage();
        if let Some((of, handed)) = &self.gathered
            && *of == stage
        {
            return Some(handed.clone());
        }
        if matches!(self.known.plan.stage(stage), Some(StagePlan::Each(..))) {
            return None;
        }
        let Some(before) = stage.checked_sub(1) else {
            return Some(Handed::Whole(self.stored.run.input.clone()));
        };
        match self.known.plan.stage(before) {
            Some(StagePlan::One(_)) => {
                let record = self.stored.records.get(&Position::of_stage(before))?;
                record.output.clone().map(Handed::Whole)
            }
            _ => None,
        }
    }
}

impl Worker {
    /// Reads what the stage gets that a run is at.
    pub(super) fn gather_handed(&mut self, slot: SlotId) {
        let (repository, sender) = (self.shared.repository.clone(), self.sender.clone());
        let Some(held) = self.slots.get(slot) else { return };
        held.busy = Busy::Reading;
        let (run, input) = (held.stored.run.id, held.stored.run.input.clone());
        let stage = held.stored.stage();
        let list_of = held.known.list_of(stage);
        let before = stage.checked_sub(1);
        let is_list = before.and_then(|before| held.known.plan.stage(before));
        let is_list = !matches!(is_list, Some(StagePlan::One(_)) | None);
        tokio::spawn(async move {
            let whole = match before {
                None => Ok(input),
                Some(before) => handed_on_by_stage(&repository, run, before, is_list).await,
            };
            let handed = match (whole, list_of) {
                (Ok(whole), Some(list_of)) => split(whole, list_of).await,
                (whole, _) => whole.map(Handed::Whole),
            };
            // The worker may have ended meanwhile.
            let _ = sender.send(Inbound::Handed { slot, stage, handed });
        });
    }

    pub(super) fn on_handed(&mut self, slot: SlotId, stage: u32, handed: Result<Handed, HandedError>) {
        let now = self.shared.time.now();
        let Some(held) = self.slots.get(slot) else { return };
        held.busy = Busy::Free;
        match handed {
            Ok(handed) => {
                let width = match &handed {
                    Handed::Items(items) => Some(items.len()),
                    Handed::Whole(_) => None,
                };
                held.gathered = Some((stage, handed));
                let state = &held.stored.run.state;
                let is_closed = !state.is_undoing() && state.fan.is_some_and(|fan| fan.width.is_none());
                match width.filter(|_| is_closed) {
                    Some(width) => self.decide(slot, Event::Opened(width), now),
                    None => self.go_on(slot),
                }
            }
            Err(HandedError::Missing(why)) => self.leave(slot, &why.clone(), why, now),
            // What could not be handed on was never begun, and there is nothing of it to undo.
            Err(HandedError::TooLong) if held.stored.run.state.is_undoing() => {
                self.decide(slot, Event::Settled, now);
            }
            Err(HandedError::TooLong) => self.decide(slot, too_long(stage), now),
            Err(HandedError::Store(error)) => {
                tracing::warn!(prorch.run = %held.stored.run.id, %error, "what a stage gets can't be read; trying again");
                let seen = held.stored.run.inbox_seq;
                self.write(slot, Hold::Release { due_at: Some(soon(now)), seen }, now);
            }
        }
    }
}

fn soon(now: Timestamp) -> Timestamp {
    now + std::time::Duration::from_secs(1)
}

/// Takes a list apart, away from the thread that keeps the leases: it may be long, and what the run of another pipeline
/// ended with may have to be turned into a list by code of the user's.
async fn split(
    whole: Text,
    list_of: impl Fn(&str) -> Result<Option<Text>, Text> + Send + 'static,
) -> Result<Handed, HandedError> {
    let split = tokio::task::spawn_blocking(move || {
        let list = list_of(&whole).map_err(HandedError::Missing)?;
        Items::of(list.unwrap_or(whole))
    });
    let items = split.await.unwrap_or_else(|error| {
        let why = error.try_into_panic().map_or_else(|error| error.to_string(), words);
        let text = format!("what was handed on can't be turned into a list: {why}");
        Err(HandedError::Missing(bounded(&text, MAX_REASON)))
    });
    items.map(|items| Handed::Items(Arc::new(items)))
}

fn too_long(stage: u32) -> Event {
    let text = format!(
        "what the stage before hands on together has more than {} MiB of JSON: let its steps hand on paths or keys",
        MAX_HANDED >> 20
    );
    let outcome = Outcome::Failed(CauseKind::Refused, Text::from(text));
    let position = Position::of_stage(stage);
    let answered = Answered { position, hook: Hook::Start, attempt: 1, outcome, kept: Kept::default() };
    Event::Answered(answered, crate::model::Jitter::NONE)
}
