use std::sync::Arc;
use std::time::Duration;

use super::slots::{Held, SlotId};
use super::worker::{Mode, Worker};
use crate::error::Error;
use crate::model::{Answer, Hold, Text, Update};
use crate::repository::{
    BoxFuture, Claim, ClaimRequest, Leases, MAX_BATCH_BYTES, MAX_BATCH_ROWS, StoreError, Turn,
};

/// With so many updates waiting, nothing is gained by waiting for more.
pub(super) const FULL_BATCH: usize = 256;
/// How long to wait before a turn is sent again that got no answer: this, doubled up to the longest.
const FIRST_RESEND: Duration = Duration::from_millis(20);
const LONGEST_RESEND: Duration = Duration::from_secs(5);
/// Every so many times that a turn is sent again, first after some seconds, that is said for everybody to hear.
const WORTH_A_WARNING: u32 = 8;
/// Of so many places that a worker fills, however few at once, one goes to the run that is longest due.
const BY_AGE: usize = 8;
/// How often a pass tries to claim.
const CLAIM_TRIES: u32 = 5;

/// Which held run an update is of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outgoing {
    pub(super) slot: SlotId,
    /// When the update was made, by the clock's `elapsed`: a lease that it renews counts from here.
    pub(super) made: Duration,
}

/// A turn that the store has not answered.
pub(super) struct Flight {
    pub(super) answer: BoxFuture<'static, Result<Turn, StoreError>>,
    of: Vec<Outgoing>,
    updates: Arc<[Update]>,
    claim_limit: usize,
    /// When it was sent, by the clock's `elapsed`: the leases that it takes count from here.
    sent: Duration,
    /// How often it was sent again.
    resent: u32,
}

impl Worker {
    /// Sends everything that waits, and asks for runs where there is room, if the store is free.
    pub(super) fn send_turn(&mut self) {
        if self.flight.is_some() {
            return;
        }
        let (of, updates) = self.next_batch();
        let released = updates.iter().filter(|update| update.releases()).count();
        let room = (self.shared.config.concurrency + released).saturating_sub(self.slots.len());
        let wants_more = self.stopping.is_none() && self.look.is_due() && room > 0;
        if updates.is_empty() && !wants_more {
            return;
        }
        let claim = wants_more.then(|| self.claim_request(room.min(MAX_BATCH_ROWS)));
        self.launch(of, updates.into(), claim, 0);
    }

    /// As much of what waits as goes into one batch.
    fn next_batch(&mut self) -> (Vec<Outgoing>, Vec<Update>) {
        let mut bytes = 0;
        let fits = |(_, update): &&(Outgoing, Update)| {
            bytes += weight(update);
            bytes <= MAX_BATCH_BYTES
        };
        let count = self.queue.iter().take(MAX_BATCH_ROWS).take_while(fits).count();
        let count = count.max(1).min(self.queue.len());
        self.queue.drain(..count).unzip()
    }

    pub(super) fn claim_request(&self, limit: usize) -> ClaimRequest {
        let now = self.shared.time.now();
        ClaimRequest {
            definitions: self.shared.catalog.definitions(),
            limit,
            by_age: (self.filled + limit) / BY_AGE,
            suspect: !self.slots.has_suspect(),
            holder: self.me,
            lease: self.shared.config.lease,
            leases: match self.mode {
                // It can't wait to see anybody's clock go on.
                Mode::Pass(_) => Leases::ByTime,
                Mode::Worker => Leases::ByHolder(self.neighbours.times(self.shared.clock.elapsed())),
            },
            now,
            due_by: match self.mode {
                Mode::Pass(due_by) => due_by.min(now),
                Mode::Worker => now,
            },
            limits: self.shared.catalog.limits(),
        }
    }

    fn launch(
        &mut self,
        of: Vec<Outgoing>,
        updates: Arc<[Update]>,
        claim: Option<ClaimRequest>,
        resent: u32,
    ) {
        let claim_limit = claim.as_ref().map_or(0, |claim| claim.limit);
        if claim.is_some() {
            self.look.sent();
        }
        let (repository, batch) = (self.shared.repository.clone(), updates.clone());
        let pause = if resent == 0 { Duration::ZERO } else { resend_pause(resent) };
        let answer = Box::pin(async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            repository.turn(batch, claim).await
        });
        let sent = self.shared.clock.elapsed();
        self.flight = Some(Flight { answer, of, updates, claim_limit, sent, resent });
    }

    /// Works off what the store answered.
    pub(super) fn on_turn(&mut self, answer: Result<Turn, StoreError>) {
        let Some(flight) = self.flight.take() else { return };
        match answer {
            Ok(turn) => self.on_answers(&flight, turn),
            Err(error) if error.is_broken() => {
                tracing::error!(%error, "the store can't be used any more; the engine stops");
                self.failure = Some(Error::Store(error));
            }
            Err(error) => self.send_again(flight, &error),
        }
    }

    /// A turn that got no answer is sent until it gets one: the epoch decides what applies, not the clock.
    fn send_again(&mut self, flight: Flight, error: &StoreError) {
        let resent = flight.resent + 1;
        let will_pass = error.is_transient() || error.is_ambiguous();
        if will_pass && resent.is_multiple_of(WORTH_A_WARNING) {
            tracing::warn!(%error, resent, "the store has not answered a turn for a while; sending it again");
        } else if will_pass {
            tracing::debug!(%error, resent, "the store did not answer a turn; sending it again");
        } else {
            tracing::error!(%error, resent, "the store refused a turn; sending it again");
        }
        // What was sent may still be on its way: it must not undo what is written after this.
        let updates = if error.is_ambiguous() {
            flight.updates.iter().map(Update::again).collect()
        } else {
            flight.updates
        };
        let given_up = self.give_up_at.is_some_and(|at| at <= self.shared.clock.elapsed());
        if updates.is_empty() && self.stopping.is_some() || given_up && resent > 8 {
            return;
        }
        // Not the old request: its time is over.
        let claim = (flight.claim_limit > 0 && self.stopping.is_none())
            .then(|| self.claim_request(flight.claim_limit));
        self.launch(flight.of, updates, claim, resent);
    }

    fn on_answers(&mut self, flight: &Flight, turn: Turn) {
        let claimed = self.on_claims(flight, turn.claims);
        if self.queue.len() >= FULL_BATCH {
            self.send_turn();
        }
        for ((of, update), answer) in flight.of.iter().zip(flight.updates.iter()).zip(turn.answers) {
            let makes_room =
                update.releases() && self.slots.get(of.slot).is_some_and(|held| held.is_limited());
            let reaches_others = !update.posts.is_empty() || !update.starts.is_empty() || makes_room;
            if reaches_others && flight.claim_limit == 0 {
                // Had runs been asked for in this turn, those would be among them.
                self.look.soon();
            }
            self.on_answer(*of, update, answer, flight.resent > 0);
        }
        claimed.into_iter().for_each(|slot| self.go_on(slot));
    }

    /// Takes the runs that were claimed in.
    fn on_claims(&mut self, flight: &Flight, claims: Result<Vec<Claim>, StoreError>) -> Vec<SlotId> {
        let claims = match claims {
            Ok(claims) => claims,
            Err(error) => {
                self.on_claim_error(error);
                return Vec::new();
            }
        };
        self.claim_errors = 0;
        if flight.claim_limit > 0 && claims.len() < flight.claim_limit {
            self.look.nothing();
        }
        self.report.claimed += claims.len() as u64;
        self.filled = (self.filled + claims.len()) % BY_AGE;
        claims.into_iter().filter_map(|claim| self.hold(claim, flight.sent)).collect()
    }

    /// A worker tries again; a pass does so a few times, and then says that it could not do its work.
    fn on_claim_error(&mut self, error: StoreError) {
        self.claim_errors += 1;
        let gives_up = matches!(self.mode, Mode::Pass(_)) && self.claim_errors >= CLAIM_TRIES;
        if error.is_broken() || gives_up {
            self.failure = Some(Error::Store(error));
            return;
        }
        tracing::warn!(%error, "nothing could be claimed; trying again");
        self.look.nothing();
        self.look.not_before(self.shared.clock.elapsed() + resend_pause(self.claim_errors));
    }

    fn hold(&mut self, claim: Claim, sent: Duration) -> Option<SlotId> {
        let known = self.shared.catalog.find(&claim.stored.run.definition);
        let Some(known) = known else {
            tracing::error!(run = %claim.stored.run.id, "the store gave a run whose pipeline was not asked for");
            return None;
        };
        let mut held = Held::new(claim, known, sent);
        held.gathered = self.lists.take(held.stored.run.id);
        Some(self.slots.insert(held))
    }

    fn on_answer(&mut self, of: Outgoing, update: &Update, answer: Answer, was_sent_again: bool) {
        match answer {
            Answer::Applied { inbox_seq } => self.on_applied(of, update, inbox_seq),
            Answer::Stale | Answer::Closed | Answer::Full | Answer::Removed => {
                self.on_stale(of.slot, was_sent_again)
            }
            Answer::Rejected(why) => self.on_rejected(of.slot, update, why),
        }
    }

    fn on_applied(&mut self, of: Outgoing, update: &Update, inbox_seq: u64) {
        let slot = of.slot;
        let Some(held) = self.slots.get(slot) else { return };
        update.confirm(&mut held.stored);
        if update.releases() {
            self.release(slot);
            return;
        }
        if let Hold::Claim(_) = update.hold {
            held.renewed = of.made;
        }
        if inbox_seq > held.stored.run.inbox_seq {
            self.read_mail(slot);
        } else {
            self.free(slot);
        }
    }

    /// The run is not this worker's any more, by its own will.
    fn release(&mut self, slot: SlotId) {
        let Some(held) = self.slots.remove(slot) else { return };
        let run = &held.stored.run;
        self.report.count(run.status());
        if held.suspect {
            self.look.soon();
        }
        if run.status().is_terminal() {
            tracing::debug!(prorch.run = %run.id, status = %run.status(), "the run ended");
            self.shared.waiters.ended(run.id);
        }
        self.lists.keep(held);
    }

    /// The run went to somebody else, or (after a turn that was sent again) it is not known which of the two applied.
    fn on_stale(&mut self, slot: SlotId, was_sent_again: bool) {
        let Some(held) = self.slots.remove(slot) else { return };
        let run = held.stored.run.id;
        self.shared.waiters.ended(run);
        self.look.soon();
        if !was_sent_again {
            self.report.stale += 1;
            let stale = self.report.stale;
            tracing::warn!(prorch.run = %run, stale, "this worker has lost the run to another; what it did for it is dropped");
        }
    }

    fn on_rejected(&mut self, slot: SlotId, update: &Update, why: Text) {
        let Some(held) = self.slots.get(slot) else { return };
        let run = held.stored.run.id;
        tracing::error!(prorch.run = %run, %why, "the store refused what a step wants to write");
        self.refuse(slot, update, why);
    }
}

fn resend_pause(resent: u32) -> Duration {
    FIRST_RESEND.saturating_mul(1 << resent.saturating_sub(1).min(16)).min(LONGEST_RESEND)
}

/// About how many bytes of payload an update writes.
fn weight(update: &Update) -> usize {
    let of = |text: &Option<Text>| text.as_ref().map_or(0, |text| text.len());
    let records: usize =
        update.records.iter().map(|write| of(&write.record().state) + of(&write.record().output)).sum();
    let starts: usize = update.starts.iter().map(|start| start.input.len()).sum();
    records + starts + update.state.as_ref().map_or(0, |state| of(&state.output))
}
