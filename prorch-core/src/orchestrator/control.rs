use std::sync::Arc;

use super::Orchestrator;
use super::start::encode;
use crate::error::Error;
use crate::model::{
    Answer, Append, Decision, Event, EventKind, Guard, Happened, Hold, MAX_REASON, Mail, Message, MessageId,
    Part, Plan, Post, Refusal, RunId, StepList, StoredRun, Text, Timestamp, UndoOn, Update, bounded,
    history_of, transition,
};
use crate::payload::Payload;
use crate::repository::{Asked, MAX_NAME_BYTES, StoreError, StoreErrorKind, ask};

/// What became of something that a run was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Told {
    /// It has taken effect.
    Done,
    /// A worker holds the run: it takes effect when the call under way ends, or at the next renewal of the lease.
    Delivered,
}

impl Orchestrator {
    /// Sends a signal to a run: it waits in the run's inbox until a step takes it by that name. Durable when this
    /// returns.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::Refused`] when the run has ended; [`Error::TooLarge`] and [`Error::Store`].
    pub async fn signal<T: Payload>(&self, id: RunId, name: &str, payload: T) -> Result<(), Error> {
        if name.is_empty() || name.len() > MAX_NAME_BYTES || name.contains('\0') {
            let why =
                format!("a signal's name has 1 to {MAX_NAME_BYTES} bytes and no NUL; this one is {name:?}");
            return Err(StoreError::new(StoreErrorKind::Refused, why).into());
        }
        let payload = encode(&payload, "signal", self.shared.config.max_payload)?;
        self.post(id, Mail::Signal { name: Text::from(name), payload }, EventKind::AwaitSignal).await
    }

    /// Ends a run. An idle run ends at once; one that a worker holds when the call under way ends, or at the next renewal
    /// of its lease. An answer that was on its way counts: if it ends the run, the cancel comes too late.
    ///
    /// A run of a pipeline with `on_cancel = compensate` is undone first, and ends after that. To one that is being undone a
    /// cancel says nothing.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::Refused`] when the run has ended already, or is being undone, and nothing is changed;
    /// [`Error::Store`].
    pub async fn cancel(&self, id: RunId, reason: &str) -> Result<Told, Error> {
        let reason = bounded(reason, MAX_REASON);
        let mail = Mail::Cancel { reason: reason.clone() };
        self.tell(id, &Event::Cancel { reason, message: None }, Some(mail)).await
    }

    /// Makes no further call for a run until it is resumed. Deadlines and the limits of waits keep running.
    ///
    /// # Errors
    ///
    /// As [`cancel`](Self::cancel).
    pub async fn pause(&self, id: RunId) -> Result<Told, Error> {
        self.tell(id, &Event::Pause { message: None }, Some(Mail::Pause)).await
    }

    /// Lets a paused run go on.
    ///
    /// # Errors
    ///
    /// As [`cancel`](Self::cancel).
    pub async fn resume(&self, id: RunId) -> Result<Told, Error> {
        self.tell(id, &Event::Resume { message: None }, Some(Mail::Resume)).await
    }

    /// Lets a failed run try again, from the step that failed; what was finished is kept, attempts are counted anew, the
    /// step's idempotency key stays. The step goes on where it was (`on_continue`, with the state last committed), or,
    /// when it said itself that it can't be done, begins anew (`on_start`, with a fresh state).
    ///
    /// Of a step that is in doubt (`at_most_once`) its `on_uncertain` is asked again; where that is not written the run fails in
    /// doubt again, until it is [settled](Self::settle).
    ///
    /// Of a run that could not be undone the undoing is tried again, and the run then ends as it would have ended. One that
    /// was undone is not retried: [restart](Self::restart) it.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::Refused`] when the run has not failed; [`Error::Store`].
    pub async fn retry(&self, id: RunId) -> Result<Told, Error> {
        self.tell(id, &Event::Retry, None).await
    }

    /// Lets an event happen to a run: by one compare-and-set while it is idle, through its inbox while a worker holds
    /// it.
    pub(super) async fn tell(&self, id: RunId, event: &Event, mail: Option<Mail>) -> Result<Told, Error> {
        let mut unsure: Option<Unsure> = None;
        loop {
            let now = self.shared.time.now();
            let stored = self.read(id).await?;
            match unsure.take() {
                Some(unsure) if unsure.was_applied(&stored) => return Ok(self.done(id)),
                // It may have been retried, and have failed again: then this would be a second retry, or a word about
                // another call.
                Some(unsure) if matches!(event, Event::Retry | Event::Verdict(..)) => {
                    return Err(unsure.error.into());
                }
                other => unsure = other,
            }
            if matches!(event, Event::Cancel { .. }) && stored.run.state.is_undoing() {
                return Err(Unsure::or_refused(unsure, id, undone_already(&stored)));
            }
            let is_held = stored.run.lease.is_some_and(|lease| lease.is_live(now));
            if let Some(mail) = mail.as_ref().filter(|_| is_held || self.is_for_a_worker(&stored, event)) {
                self.post(id, mail.clone(), event.kind()).await?;
                return Ok(Told::Delivered);
            }
            let plan = match event {
                Event::Verdict(..) => self.fitting_plan(&stored)?,
                _ => self.plan(&stored),
            };
            let decision = match transition(&stored, &plan, event.clone(), &[], now) {
                Ok(decision) => decision,
                Err(refusal) => return Err(Unsure::or_refused(unsure, id, refusal)),
            };
            let history = self.happened(&stored, event, &decision, now);
            let update = decision.into_update(&stored, Guard::Idle(stored.run.epoch), now);
            let mut update = Update { history, ..update };
            if let (Event::Pause { .. }, Some(mail)) = (event, &mail) {
                let id = MessageId::from_uuid(self.shared.new_id(now));
                let message = Message::new(id, mail.clone(), now).sent_by(Some(self.sender()));
                keep(&mut update, message);
            }
            let Asked { answer, unknown } = self.write(update.clone()).await?;
            match answer {
                Answer::Applied { inbox_seq } if defers(&update, inbox_seq) => return Ok(Told::Delivered),
                Answer::Applied { .. } => return Ok(self.done(id)),
                // Somebody claimed or changed it since it was read (or this did, by an answer that got lost): read it
                // again.
                Answer::Stale | Answer::Full => {
                    unsure = unknown.map(|error| Unsure { update, error }).or(unsure)
                }
                Answer::Closed | Answer::Removed => return Err(Error::NotFound(id)),
                Answer::Rejected(why) => return Err(refused(&why)),
            }
        }
    }

    fn done(&self, id: RunId) -> Told {
        self.shared.waiters.ended(id);
        Told::Done
    }

    /// Puts a message into a run's inbox. Its id makes it safe to ask again.
    async fn post(&self, id: RunId, mail: Mail, kind: EventKind) -> Result<(), Error> {
        let now = self.shared.time.now();
        let message = Message::new(MessageId::from_uuid(self.shared.new_id(now)), mail, now);
        let message = message.sent_by(Some(self.sender()));
        let Asked { answer, unknown } = self.write(Update::post(id, message)).await?;
        match (answer, unknown) {
            (Answer::Applied { .. }, _) => Ok(()),
            (Answer::Rejected(why), _) => Err(refused(&why)),
            // The run ended; it may have taken the message first.
            (Answer::Closed | Answer::Removed | Answer::Stale | Answer::Full, Some(unknown)) => {
                Err(unknown.into())
            }
            (Answer::Closed | Answer::Removed | Answer::Stale | Answer::Full, None) => {
                let run = self.read(id).await?.run;
                let (status, sealed) = (run.status(), run.sealed);
                Err(Error::Refused { run: id, refusal: Refusal { status, event: kind, undo: None, sealed } })
            }
        }
    }

    /// What is added to the history of a run that is told something while nobody holds it.
    fn happened(
        &self,
        stored: &StoredRun,
        event: &Event,
        decision: &Decision,
        now: Timestamp,
    ) -> Option<Box<Append>> {
        let history = &self.shared.config.history;
        if !history.keeps(&stored.run.definition.pipeline) {
            return None;
        }
        let happened = Happened::of(stored, event, Some(&self.sender()), now);
        history.append(history_of(stored, &happened, decision, now))
    }

    pub(super) async fn read(&self, id: RunId) -> Result<StoredRun, Error> {
        let read = ask(|| self.shared.repository.get(id, Part::Work)).await?;
        read.answer.ok_or(Error::NotFound(id))
    }

    async fn write(&self, update: Update) -> Result<Asked<Answer>, Error> {
        let updates: Arc<[Update]> = [update].into();
        let Asked { answer, unknown } = ask(|| self.shared.repository.update(updates.clone())).await?;
        let answer = answer.into_iter().next().ok_or_else(|| refused("the repository gave no answer"))?;
        Ok(Asked { answer, unknown })
    }

    /// Whether only a worker that knows the pipeline can do it: what the steps have done is to be undone, and what that
    /// is, is unknown here.
    fn is_for_a_worker(&self, stored: &StoredRun, event: &Event) -> bool {
        let definition = &stored.run.definition;
        matches!(event, Event::Cancel { .. })
            && !stored.run.status().is_terminal()
            && self.shared.catalog.find(definition).is_none()
            && StepList::of(definition).is_some_and(|list| list.undo.cancel)
    }

    /// The run's plan; an empty one for a pipeline that is unknown here, whose runs can be told things all the same.
    fn plan(&self, stored: &StoredRun) -> Arc<Plan> {
        match self.shared.catalog.find(&stored.run.definition) {
            Some(known) => known.plan.clone(),
            None => Arc::new(Plan {
                definition: stored.run.definition.clone(),
                stages: Vec::new(),
                undo: UndoOn::NEVER,
            }),
        }
    }
}

/// Puts what an update does into the run's inbox with it, as known to it: there it waits if the update can't do it yet.
fn keep(update: &mut Update, message: Message) {
    update.posts.push(Post { to: update.run, message });
    if let Hold::Release { seen, .. } = &mut update.hold {
        *seen += 1;
    }
}

/// Whether an update that pauses a run leaves that to whoever claims it next, since more came for the run meanwhile.
fn defers(update: &Update, inbox_seq: u64) -> bool {
    let pauses = update.state.as_ref().is_some_and(|state| state.paused);
    pauses && matches!(update.hold, Hold::Release { seen, .. } if inbox_seq > seen)
}

/// A write of which it is not known whether it was applied.
struct Unsure {
    update: Update,
    error: StoreError,
}

impl Unsure {
    /// Whether the run is as the write leaves it. Only one write is made on top of an epoch, so that it was this one.
    fn was_applied(&self, stored: &StoredRun) -> bool {
        let Guard::Idle(epoch) = self.update.guard else { return false };
        stored.run.epoch == epoch.next() && self.update.state.as_ref() == Some(&stored.run.state)
    }

    /// What to say when the run refuses what it was told: if it may be this very write that made it so, that is said.
    fn or_refused(unsure: Option<Self>, run: RunId, refusal: Refusal) -> Error {
        unsure.map_or(Error::Refused { run, refusal }, |unsure| unsure.error.into())
    }
}

/// Why a run is not cancelled that is being undone: it ends anyhow.
fn undone_already(stored: &StoredRun) -> Refusal {
    let state = &stored.run.state;
    Refusal { status: state.status, event: EventKind::Cancel, undo: state.undo_phase(), sealed: false }
}

fn refused(why: &str) -> Error {
    StoreError::new(StoreErrorKind::Refused, why).into()
}
