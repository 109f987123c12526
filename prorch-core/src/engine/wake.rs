use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use super::Stop;
use super::adopt::{Looked, Sight};
use super::executor::Returned;
use super::handed::Handed;
use super::left::Left;
use super::prune::PruneReport;
use super::slots::SlotId;
use super::together::Came;
use super::worker::Worker;
use crate::model::{Position, StoredRun, Text};
use crate::repository::{BoxFuture, HandedError, Outlook, StoreError, Turn};

/// What comes to a worker on its one channel.
pub(super) enum Inbound {
    /// A call came back.
    Returned { slot: SlotId, serial: u64, returned: Returned },
    /// A call for several records came back.
    Together(Came),
    /// A run's inbox was read.
    Mail { slot: SlotId, read: Result<Option<StoredRun>, StoreError> },
    /// What a stage gets was read.
    Handed { slot: SlotId, stage: u32, handed: Result<Handed, HandedError> },
    /// A run was read again, because the store refused what was to be written about the record at this position.
    Again { slot: SlotId, position: Position, why: Text, read: Result<Option<StoredRun>, StoreError> },
    /// What is undone next of a run was read.
    Records { slot: SlotId, read: Result<Option<StoredRun>, StoreError> },
    /// The store says when something is due, to the question with this number, and who holds runs.
    Outlook(Option<u64>, Result<Outlook, StoreError>),
    /// The runs that are left were read.
    Left(Result<Left, StoreError>),
    /// It was looked for runs of other lists, which took so long.
    Others { sight: Sight, looked: Result<Looked, StoreError>, took: Duration },
    /// Runs that ended long ago were removed.
    Pruned(Result<PruneReport, StoreError>),
    /// Somebody wants it to stop.
    Stop(Stop),
}

/// Why a worker woke.
#[expect(
    clippy::large_enum_variant,
    reason = "it lives for one turn of the loop; a box would cost each call"
)]
pub(super) enum Wake {
    /// The store answered the turn.
    Turn(Result<Turn, StoreError>),
    /// Something came.
    Inbound(Inbound),
    /// Something may have become due.
    Changed,
    /// A lease, or something that is due, wants to be looked at.
    Timer,
}

/// A sleep until some time of the clock's `elapsed`.
pub(super) struct Timer {
    until: Duration,
    sleep: BoxFuture<'static, ()>,
}

impl Worker {
    /// Returns when there is something to do.
    pub(super) async fn wake(&mut self) -> Wake {
        self.arm();
        poll_fn(|cx| self.poll_wake(cx)).await
    }

    fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<Wake> {
        if let Some(flight) = &mut self.flight
            && let Poll::Ready(answer) = flight.answer.as_mut().poll(cx)
        {
            return Poll::Ready(Wake::Turn(answer));
        }
        // The worker has a sender itself, so that the channel never closes.
        if let Poll::Ready(Some(inbound)) = self.inbound.poll_recv(cx) {
            return Poll::Ready(Wake::Inbound(inbound));
        }
        if let Some(changed) = &mut self.changed
            && changed.as_mut().poll(cx).is_ready()
        {
            self.watch_store(cx);
            return Poll::Ready(Wake::Changed);
        }
        if let Some(timer) = &mut self.timer
            && timer.sleep.as_mut().poll(cx).is_ready()
        {
            self.timer = None;
            return Poll::Ready(Wake::Timer);
        }
        Poll::Pending
    }

    /// Begins to watch for the next change *before* anybody looks at the last one, so that none falls between.
    pub(super) fn watch_store(&mut self, cx: &mut Context<'_>) {
        // A store that says "changed" again and again at once is asked a few times, not for ever.
        for _ in 0..3 {
            let mut changed = self.next_change();
            let pending = changed.as_mut().poll(cx).is_pending();
            self.changed = Some(if pending { changed } else { self.next_change() });
            if pending {
                return;
            }
        }
    }

    fn next_change(&self) -> BoxFuture<'static, ()> {
        let repository = self.shared.repository.clone();
        Box::pin(async move { repository.changed().await })
    }

    /// Sets the timer to the earliest time at which something is to be done.
    fn arm(&mut self) {
        let (tick, around) = (self.next_tick(), self.next_look_around());
        let (others, upkeep) = (self.next_adoption(), self.next_upkeep());
        let times = [tick, self.look.at(), around, others, upkeep, self.next_stop_check()];
        let wanted = times.into_iter().flatten().min();
        match (wanted, &self.timer) {
            (Some(until), Some(timer)) if timer.until == until => {}
            (Some(until), _) => {
                let clock = &self.shared.clock;
                let sleep = clock.sleep(until.saturating_sub(clock.elapsed()));
                self.timer = Some(Timer { until, sleep });
            }
            (None, _) => self.timer = None,
        }
    }
}
