use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::executor::Returned;
use super::handed::Handed;
use super::polls::Apart;
use crate::model::{Epoch, Guard, Hook, Position, StoredRun, WorkerId};
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
    /// The run as it is when the last update that was queued has been applied.
    pub(super) stored: StoredRun,
    pub(super) known: Arc<Known>,
    /// When the claim or its last renewal was sent, by the clock's `elapsed`.
    pub(super) renewed: Duration,
    /// When the lease may be renewed again that the store refused to renew.
    pub(super) renew_again: Duration,
    /// Whether it was suspect of killing its worker when it was claimed.
    pub(super) suspect: bool,
    /// Whether it counted under a limit when it was claimed.
    counts: bool,
    pub(super) busy: Busy,
    /// The calls under way; counted by the [`Slots`].
    calls: Vec<Call>,
    /// What came back while the run was busy.
    pub(super) returned: Vec<(Call, Returned)>,
    /// What this stage gets, where that had to be read.
    pub(super) gathered: Option<(u32, Handed)>,
    /// Whether the store refused what was decided about the run, since it was claimed.
    pub(super) refused: bool,
    /// Before which position the records are here that are undone next.
    pub(super) undo_read: Option<Position>,
    /// The records that are next called apart from others of their step.
    pub(super) apart: Vec<(Position, Apart)>,
    /// The records that this worker has written down as about to be called, and has not called yet.
    pub(super) intended: Vec<Position>,
}

/// What is being done with a held run beside the calls of its steps. One thing at a time: what calls return meanwhile
/// waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Busy {
    /// Nothing.
    Free,
    /// An update of it is waiting or in flight.
    Writing,
    /// Something of it is being read.
    Reading,
}

/// A call under way.
pub(super) struct Call {
    pub(super) serial: u64,
    pub(super) position: Position,
    pub(super) attempt: u32,
    pub(super) hook: Hook,
    pub(super) is_blocking: bool,
    pub(super) cx: StepContext,
    pub(super) task: Task,
    pub(super) cancel: watch::Sender<bool>,
}

/// What makes a call.
#[expect(dead_code, reason = "a task is kept for its drop")]
pub(super) enum Task {
    /// Nothing yet: the record waits for others, to be asked together with them.
    Gathering,
    /// A task of its own.
    Alone(Dropped),
    /// One that asks about others as well, and is dropped when nobody waits for any of them.
    Together(Arc<Dropped>),
}

/// A task that is dropped when nobody waits for it any more.
pub(super) struct Dropped(pub(super) AbortHandle);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Held {
    /// A run that was claimed by a turn that was sent at this time.
    pub(super) fn new(claim: Claim, known: Arc<Known>, sent: Duration) -> Self {
        let suspect = claim.is_suspect();
        let counts = claim.stored.run.permits.held().next().is_some();
        let Claim { stored } = claim;
        let undo_read = stored.run.state.undo_below();
        Self {
            stored,
            known,
            renewed: sent,
            renew_again: sent,
            suspect,
            counts,
            busy: Busy::Free,
            calls: Vec::new(),
            returned: Vec::new(),
            gathered: None,
            refused: false,
            undo_read,
            apart: Vec::new(),
            intended: Vec::new(),
        }
    }

    /// Whether another run may be let in when this one is given back, or this one itself.
    pub(super) fn is_limited(&self) -> bool {
        self.counts || self.stored.run.state.starts.is_some()
    }

    /// When the lease, which is so long, is to be renewed.
    pub(super) fn renew_at(&self, lease: Duration) -> Duration {
        self.renew_again.max(self.renewed + lease / 3)
    }

    /// The calls under way.
    pub(super) fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// The guard of every update by this worker.
    pub(super) fn guard(&self, me: WorkerId) -> Guard {
        let epoch: Epoch = self.stored.run.epoch;
        Guard::Held(epoch, me)
    }

    /// The records whose calls have not been decided on.
    pub(super) fn under_way(&self) -> Vec<Position> {
        let returned = self.returned.iter().map(|(call, _)| call.position);
        self.calls.iter().map(|call| call.position).chain(returned).collect()
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
        self.calling += held.calls.len();
        let place = &mut self.places[index];
        place.held = Some(held);
        SlotId { index, generation: place.generation }
    }

    pub(super) fn get(&mut self, id: SlotId) -> Option<&mut Held> {
        let place = self.places.get_mut(id.index).filter(|place| place.generation == id.generation)?;
        place.held.as_mut()
    }

    /// A call of the run begins.
    pub(super) fn begin(&mut self, id: SlotId, call: Call) {
        let Some(held) = self.get(id) else { return };
        held.calls.push(call);
        self.calling += 1;
    }

    /// A call that is under way.
    pub(super) fn call(&mut self, id: SlotId, serial: u64) -> Option<&mut Call> {
        self.get(id)?.calls.iter_mut().find(|call| call.serial == serial)
    }

    /// Takes a call that came back from those under way.
    pub(super) fn take_call(&mut self, id: SlotId, serial: u64) -> Option<Call> {
        let held = self.get(id)?;
        let at = held.calls.iter().position(|call| call.serial == serial)?;
        let call = held.calls.swap_remove(at);
        self.calling -= 1;
        Some(call)
    }

    /// Drops the calls under way, and what has come back.
    pub(super) fn drop_calls(&mut self, id: SlotId) {
        let Some(held) = self.get(id) else { return };
        held.returned.clear();
        let dropped = held.calls.len();
        held.calls.clear();
        self.calling -= dropped;
    }

    /// Gives the place away. Calls that are still under way are dropped.
    pub(super) fn remove(&mut self, id: SlotId) -> Option<Held> {
        let place = self.places.get_mut(id.index).filter(|place| place.generation == id.generation)?;
        let held = place.held.take()?;
        place.generation += 1;
        self.free.push(id.index);
        self.taken -= 1;
        self.suspects -= usize::from(held.suspect);
        self.calling -= held.calls.len();
        Some(held)
    }

    pub(super) fn iter(&mut self) -> impl Iterator<Item = (SlotId, &mut Held)> {
        self.places.iter_mut().enumerate().filter_map(|(index, place)| {
            let id = SlotId { index, generation: place.generation };
            place.held.as_mut().map(|held| (id, held))
        })
    }
}
