use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::executor::Returned;
use crate::model::{Epoch, Guard, Position, StoredRun, WorkerId};
use crate::registry::Known;
use crate::repository::Claim;
use crate::step::StepContext;

/// Names a place of the worker; a place that was given away and taken again has another name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SlotId {
    index: usize,
    generation: u64,
}

/// A run that this worker holds.
pub(super) struct Held {
    /// The run as it is stored, as far as this worker knows: after each commit the same update is applied here.
    pub(super) stored: StoredRun,
    pub(super) known: Arc<Known>,
    /// When the claim or its last renewal was sent, by the clock's `elapsed`.
    pub(super) renewed: Duration,
    phase: Phase,
    /// Whether it was suspect of killing its worker when it was claimed.
    pub(super) suspect: bool,
}

/// What is being done with a held run.
#[expect(
    clippy::large_enum_variant,
    reason = "most held runs are being called, and a box would cost each call"
)]
pub(super) enum Phase {
    /// An update of it is waiting or in flight.
    Writing,
    /// Its inbox is being read.
    Reading,
    /// Its step is being called.
    Calling(Call),
}

/// A call under way.
pub(super) struct Call {
    pub(super) serial: u64,
    pub(super) position: Position,
    pub(super) attempt: u32,
    pub(super) is_blocking: bool,
    pub(super) cx: StepContext,
    pub(super) task: AbortHandle,
    pub(super) cancel: watch::Sender<bool>,
    /// A renewal is waiting or in flight: what the call returns has to wait for its answer.
    pub(super) renewing: bool,
    pub(super) returned: Option<Returned>,
}

/// A call that nobody waits for any more is dropped.
impl Drop for Call {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Held {
    /// A run that was claimed by a turn that was sent at this time.
    pub(super) fn new(claim: Claim, known: Arc<Known>, sent: Duration) -> Self {
        let suspect = claim.is_suspect();
        let Claim { stored } = claim;
        Self { stored, known, renewed: sent, phase: Phase::Writing, suspect }
    }

    pub(super) const fn phase(&self) -> &Phase {
        &self.phase
    }

    const fn is_calling(&self) -> bool {
        matches!(self.phase, Phase::Calling(_))
    }

    /// The guard of every update by this worker.
    pub(super) fn guard(&self, me: WorkerId) -> Guard {
        let epoch: Epoch = self.stored.run.epoch;
        Guard::Held(epoch, me)
    }

    pub(super) fn call(&mut self) -> Option<&mut Call> {
        match &mut self.phase {
            Phase::Calling(call) => Some(call),
            Phase::Writing | Phase::Reading => None,
        }
    }
}

/// The places of a worker.
#[derive(Default)]
pub(super) struct Slots {
    places: Vec<Place>,
    free: Vec<usize>,
    taken: usize,
    suspects: usize,
    calling: usize,
}

#[derive(Default)]
struct Place {
    generation: u64,
    held: Option<Held>,
}

impl Slots {
    pub(super) const fn len(&self) -> usize {
        self.taken
    }

    /// How many calls are under way.
    pub(super) const fn calling(&self) -> usize {
        self.calling
    }

    pub(super) const fn has_suspect(&self) -> bool {
        self.suspects > 0
    }

    pub(super) fn insert(&mut self, held: Held) -> SlotId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place::default());
            self.places.len() - 1
        });
        self.taken += 1;
        self.suspects += usize::from(held.suspect);
        self.calling += usize::from(held.is_calling());
        let place = &mut self.places[index];
        place.held = Some(held);
        SlotId { index, generation: place.generation }
    }

    pub(super) fn get(&mut self, id: SlotId) -> Option<&mut Held> {
        let place = self.places.get_mut(id.index).filter(|place| place.generation == id.generation)?;
        place.held.as_mut()
    }

    /// Lets a run enter another phase. A call that was under way is over with that.
    pub(super) fn enter(&mut self, id: SlotId, phase: Phase) {
        let Some(held) = self.get(id) else { return };
        let before = held.is_calling();
        held.phase = phase;
        let after = held.is_calling();
        self.calling = self.calling + usize::from(after) - usize::from(before);
    }

    /// Gives the place away. A call that is still under way is dropped.
    pub(super) fn remove(&mut self, id: SlotId) -> Option<Held> {
        let place = self.places.get_mut(id.index).filter(|place| place.generation == id.generation)?;
        let held = place.held.take()?;
        place.generation += 1;
        self.free.push(id.index);
        self.taken -= 1;
        self.suspects -= usize::from(held.suspect);
        self.calling -= usize::from(held.is_calling());
        Some(held)
    }

    pub(super) fn iter(&mut self) -> impl Iterator<Item = (SlotId, &mut Held)> {
        self.places.iter_mut().enumerate().filter_map(|(index, place)| {
            let id = SlotId { index, generation: place.generation };
            place.held.as_mut().map(|held| (id, held))
        })
    }
}
