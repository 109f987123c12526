use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::adopt::{Adoption, Sight};
use super::left::{Named, left};
use super::lists::Lists;
use super::look::Look;
use super::neighbours::Neighbours;
use super::polls::Polls;
use super::retention::Upkeep;
use super::shared::{GOLDEN, mix};
use super::slots::{Busy, Held, SlotId, Slots};
use super::turn::{FULL_BATCH, Flight, Outgoing};
use super::wake::{Inbound, Timer, Wake};
use super::{PassReport, Shared, Stop};
use crate::error::Error;
use crate::model::{Jitter, Timestamp, Update, WorkerId};
use crate::repository::{BoxFuture, Clocks, Outlook, StoreError};

/// What an engine is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Everything that is due at this time, then it ends.
    Pass(Timestamp),
    /// Everything that ever becomes due, until it is told to stop.
    Worker,
}

/// How long updates are gathered at most while calls run that may bring more: a fraction of what a flush takes.
const GATHER: Duration = Duration::from_micros(50);
/// How much of what came is taken in before the store is looked at again.
const TAKE_IN: usize = 4_096;
/// How long an engine whose grace time is over still tries to give its runs back.
const LAST_WRITES: Duration = Duration::from_secs(5);
/// How long nothing is looked at when no hint comes. Hints are not promises.
const LOOK_ANYWAY: Duration = Duration::from_secs(60);

/// The task that owns all runs that this process holds by one engine.
pub(crate) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) user: Handle,
    pub(super) me: WorkerId,
    pub(super) mode: Mode,
    pub(super) slots: Slots,
    pub(super) serial: u64,
    pub(super) queue: Vec<(Outgoing, Update)>,
    pub(super) polls: Polls,
    pub(super) flight: Option<Flight>,
    pub(super) inbound: mpsc::UnboundedReceiver<Inbound>,
    pub(super) sender: mpsc::UnboundedSender<Inbound>,
    pub(super) changed: Option<BoxFuture<'static, ()>>,
    pub(super) timer: Option<Timer>,
    pub(super) look: Look,
    pub(super) neighbours: Neighbours,
    pub(super) claim_errors: u32,
    /// How many places were filled since the last that was filled by age.
    pub(super) filled: usize,
    pub(super) next_tick: Option<Duration>,
    pub(super) stopping: Option<Stop>,
    pub(super) give_up_at: Option<Duration>,
    pub(super) failure: Option<Error>,
    pub(super) report: PassReport,
    pub(super) named: Named,
    pub(super) adoption: Adoption,
    pub(super) upkeep: Upkeep,
    /// Of runs that were given back.
    pub(super) lists: Lists,
    jitter: u64,
}

impl Worker {
    pub(super) fn new(
        shared: Arc<Shared>,
        user: Handle,
        mode: Mode,
        sender: mpsc::UnboundedSender<Inbound>,
        inbound: mpsc::UnboundedReceiver<Inbound>,
    ) -> Self {
        let me = shared.new_id(shared.time.now());
        let chance = mix(me.as_u64_pair().1) as f64 / u64::MAX as f64;
        let upkeep = Upkeep::new(shared.config.prune_every, chance);
        Self {
            shared,
            user,
            me: WorkerId::from_uuid(me),
            mode,
            slots: Slots::default(),
            serial: 0,
            queue: Vec::new(),
            polls: Polls::default(),
            flight: None,
            inbound,
            sender,
            changed: None,
            timer: None,
            look: Look::new(),
            neighbours: Neighbours::new(),
            claim_errors: 0,
            filled: 0,
            next_tick: None,
            stopping: None,
            give_up_at: None,
            failure: None,
            report: PassReport::default(),
            named: Named::default(),
            adoption: Adoption::new(),
            upkeep,
            lists: Lists::default(),
            jitter: me.as_u64_pair().1,
        }
    }

    /// The loop of turns.
    pub(super) async fn run(mut self) -> Result<PassReport, Error> {
        tracing::debug!(worker = %self.me, mode = ?self.mode, "the engine starts");
        if self.mode == Mode::Worker {
            std::future::poll_fn(|cx| {
                self.watch_store(cx);
                std::task::Poll::Ready(())
            })
            .await;
        }
        self.begin_pass().await;
        while !self.is_done() {
            self.gather().await;
            self.send_turn();
            self.look_out();
            self.look_for_others();
            self.keep_up();
            if self.is_done() {
                break;
            }
            self.ask_together();
            match self.wake().await {
                Wake::Turn(answer) => self.on_turn(answer),
                Wake::Inbound(inbound) => self.take_in(inbound),
                Wake::Changed => self.look.soon(),
                Wake::Timer => self.on_timer(),
            }
        }
        self.end().await
    }

    /// A pass goes on with runs of other lists as well.
    async fn begin_pass(&mut self) {
        if let Mode::Pass(now) = self.mode
            && let Err(error) = Sight::look_for_pass(&self.shared, now).await
        {
            self.failure = Some(Error::Store(error));
        }
    }

    async fn end(mut self) -> Result<PassReport, Error> {
        self.say_what_was_done();
        let held: Vec<SlotId> = self.slots.iter().map(|(slot, _)| slot).collect();
        held.into_iter().for_each(|slot| drop(self.slots.remove(slot)));
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let Mode::Pass(now) = self.mode else { return Ok(self.report) };
        let left = left(&self.shared, self.mode, now).await?;
        Ok(self.report.with_left(left.into_runs()))
    }

    /// What was refused is for everybody to hear: the worker was too slow for its leases, or stood still.
    fn say_what_was_done(&self) {
        let PassReport { claimed, calls, finished, failed, cancelled, waiting, stale, .. } = self.report;
        tracing::debug!(worker = %self.me, claimed, calls, finished, failed, cancelled, waiting, "the engine ends");
        if stale > 0 {
            tracing::info!(worker = %self.me, stale, "so many writes were refused, because the runs had gone to other workers");
        }
    }

    fn is_done(&self) -> bool {
        if self.failure.is_some() {
            return true;
        }
        let idle = self.slots.len() == 0 && self.queue.is_empty() && self.flight.is_none();
        let out_of_time = self.give_up_at.is_some_and(|at| at + LAST_WRITES <= self.shared.clock.elapsed());
        match (self.stopping, self.mode) {
            (Some(_), _) => idle || out_of_time,
            (None, Mode::Pass(_)) => idle && !self.look.is_due() && self.look.at().is_none(),
            (None, Mode::Worker) => false,
        }
    }

    /// Waits a moment for outcomes of calls under way, so that they ride in the same turn.
    async fn gather(&mut self) {
        // How long a moment is no seed says.
        if self.flight.is_some() || self.queue.is_empty() || self.shared.replay.is_some() {
            return;
        }
        let began = Instant::now();
        while self.slots.calling() > 0 && self.queue.len() < FULL_BATCH && began.elapsed() < GATHER {
            match self.inbound.try_recv() {
                Ok(inbound) => self.on_inbound(inbound),
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }

    /// Takes in this and what has come behind it.
    fn take_in(&mut self, first: Inbound) {
        self.on_inbound(first);
        for _ in 0..TAKE_IN {
            match self.inbound.try_recv() {
                Ok(inbound) => self.on_inbound(inbound),
                Err(_) => return,
            }
        }
    }

    fn on_inbound(&mut self, inbound: Inbound) {
        match inbound {
            Inbound::Returned { slot, serial, returned } => self.on_returned(slot, serial, returned),
            Inbound::Together(came) => self.on_together(came),
            Inbound::Mail { slot, read } => self.on_mail(slot, read),
            Inbound::Records { slot, read } => self.on_records(slot, read),
            Inbound::Handed { slot, stage, handed } => self.on_handed(slot, stage, handed),
            Inbound::Again { slot, position, why, read } => self.on_read_again(slot, position, why, read),
            Inbound::Outlook(question, read) => self.on_outlook(question, read),
            Inbound::Left(left) => self.on_left(left),
            Inbound::Others { sight, looked, took } => self.on_others(sight, looked, took),
            Inbound::Pruned(pruned) => self.on_pruned(pruned),
            Inbound::Stop(how) => self.on_stop(how),
        }
    }

    fn on_timer(&mut self) {
        let elapsed = self.shared.clock.elapsed();
        self.look.tick(elapsed);
        self.tick_leases(elapsed);
        if self.give_up_at.is_some_and(|at| at <= elapsed) {
            self.drop_calls();
        }
    }

    /// When a worker that was told to stop looks whether its time is up: at the end of the grace time, and then, while
    /// the last writes are under way, again and again.
    pub(super) fn next_stop_check(&self) -> Option<Duration> {
        let again = self.shared.clock.elapsed() + LAST_WRITES / 100;
        self.give_up_at.map(|at| if at < again { again } else { at })
    }

    fn on_stop(&mut self, how: Stop) {
        let grace = match how {
            Stop::Graceful => self.shared.config.grace,
            Stop::AtOnce => Duration::ZERO,
        };
        let until = self.shared.clock.elapsed() + grace;
        tracing::debug!(worker = %self.me, ?how, held = self.slots.len(), "the engine stops");
        self.stopping = Some(how);
        self.give_up_at = Some(self.give_up_at.map_or(until, |earlier| earlier.min(until)));
        if grace.is_zero() {
            self.drop_calls();
        }
    }

    /// Asks the store when something is due, once for every time that nothing was, and what others stamped, if it is time.
    fn look_out(&mut self) {
        let idle = self.flight.is_none() && self.stopping.is_none() && self.mode == Mode::Worker;
        let question = (idle && self.look.should_ask()).then(|| self.look.question());
        if question.is_some() {
            self.look_for_left();
            self.adoption.hint();
            self.neighbours.look_soon();
        }
        let is_time =
            self.next_look_around().is_some() && self.neighbours.should_ask(self.shared.clock.elapsed());
        if question.is_none() && !is_time {
            return;
        }
        let (shared, sender, request) = (self.shared.clone(), self.sender.clone(), self.claim_request(1));
        tokio::spawn(async move {
            let read = shared.repository.outlook(&request).await;
            // The worker may have ended meanwhile.
            let _ = sender.send(Inbound::Outlook(question, read));
        });
    }

    /// When the stamps of others want to be looked at.
    pub(super) fn next_look_around(&self) -> Option<Duration> {
        let wants = self.mode == Mode::Worker && self.stopping.is_none();
        self.neighbours.look_at().filter(|_| wants)
    }

    fn on_outlook(&mut self, question: Option<u64>, read: Result<Outlook, StoreError>) {
        let elapsed = self.shared.clock.elapsed();
        let wait = match read {
            Ok(Outlook { due, clocks }) => {
                self.on_clocks(&clocks, elapsed);
                // A store that says "now" after a claim that found nothing is not asked without a pause.
                let wait = due.map_or(LOOK_ANYWAY, |at| at.saturating_since(self.shared.time.now()));
                wait.clamp(Duration::from_millis(1), LOOK_ANYWAY)
            }
            Err(error) => {
                tracing::warn!(%error, "it can't be read when something is due and who holds runs; asking again");
                self.neighbours.ask_again(elapsed);
                Duration::from_secs(1)
            }
        };
        if let Some(question) = question {
            self.look.answered(question, elapsed + wait);
        }
    }

    fn on_clocks(&mut self, clocks: &Clocks, elapsed: Duration) {
        // What was not due by one's own time may be due by that of the others.
        let went_forward = clocks.newest.is_some_and(|newest| self.shared.time.catch_up(newest));
        let is_over = self.neighbours.note(clocks, self.me, self.shared.config.lease, elapsed);
        if went_forward || is_over {
            self.look.soon();
        }
    }

    /// Puts an update of a held run into the next turn.
    pub(super) fn enqueue(&mut self, slot: SlotId, update: Update) {
        let made = self.shared.clock.elapsed();
        self.queue.push((Outgoing { slot, made }, update));
    }

    /// The next fraction by which a retry is spread.
    pub(super) fn jitter(&mut self) -> Jitter {
        Jitter::new(self.chance())
    }

    /// A fraction that looks drawn by chance.
    pub(super) fn chance(&mut self) -> f64 {
        self.jitter = self.jitter.wrapping_add(GOLDEN);
        mix(self.jitter) as f64 / u64::MAX as f64
    }

    /// Drops the calls under way and gives their runs back. A call that blocks a thread can't be dropped: its run is
    /// kept until the lease ends, so that nobody calls it a second time beside it.
    fn drop_calls(&mut self) {
        let idle = |held: &Held| held.busy == Busy::Free && !held.calls().is_empty();
        let blocks = |held: &Held| held.calls().iter().any(|call| call.is_blocking);
        let calling = self.slots.iter().filter(|(_, held)| idle(held));
        let calling: Vec<(SlotId, bool)> = calling.map(|(slot, held)| (slot, blocks(held))).collect();
        for (slot, is_blocking) in calling {
            if is_blocking {
                self.slots.remove(slot);
            } else {
                self.give_back(slot);
            }
        }
    }
}
