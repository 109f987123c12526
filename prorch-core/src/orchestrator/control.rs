use std::sync::Arc;

use super::Orchestrator;
use super::start::encode;
use crate::engine::new_id;
use crate::error::Error;
use crate::model::{
    Answer, Event, EventKind, Guard, MAX_REASON, Mail, Message, MessageId, Part, Plan, Refusal, RunId,
    StoredRun, Text, Update, bounded, transition,
};
use crate::payload::Payload;
use crate::repository::{MAX_NAME_BYTES, StoreError, StoreErrorKind};

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
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::Refused`] when the run has ended already, and nothing is changed;
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
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::Refused`] when the run has not failed; [`Error::Store`].
    pub async fn retry(&self, id: RunId) -> Result<Told, Error> {
        self.tell(id, &Event::Retry, None).await
    }

    /// Lets an event happen to a run: by one compare-and-set while it is idle, through its inbox while a worker holds
    /// it.
    async fn tell(&self, id: RunId, event: &Event, mail: Option<Mail>) -> Result<Told, Error> {
        loop {
            let now = self.shared.clock.now();
            let stored = self.read(id).await?;
            if let (Some(mail), Some(lease)) = (&mail, stored.run.lease)
                && lease.is_live(now)
            {
                self.post(id, mail.clone(), event.kind()).await?;
                return Ok(Told::Delivered);
            }
            let decision = transition(&stored, &self.plan(&stored), event.clone(), &[], now)
                .map_err(|refusal| Error::Refused { run: id, refusal })?;
            let update = decision.into_update(&stored, Guard::Idle(stored.run.epoch), now);
            match self.write(update).await? {
                Answer::Applied { .. } => {
                    self.shared.waiters.ended(id);
                    return Ok(Told::Done);
                }
                // Somebody claimed or changed it since it was read: read it again.
                Answer::Stale => {}
                Answer::Closed => return Err(Error::NotFound(id)),
                Answer::Rejected(why) => return Err(refused(&why)),
            }
        }
    }

    /// Puts a message into a run's inbox.
    async fn post(&self, id: RunId, mail: Mail, kind: EventKind) -> Result<(), Error> {
        let now = self.shared.clock.now();
        let message = Message::new(MessageId::from_uuid(new_id(now)), mail, now);
        match self.write(Update::post(id, message)).await? {
            Answer::Applied { .. } => Ok(()),
            Answer::Rejected(why) => Err(refused(&why)),
            Answer::Closed | Answer::Stale => {
                let status = self.read(id).await?.run.status();
                Err(Error::Refused { run: id, refusal: Refusal { status, event: kind } })
            }
        }
    }

    async fn read(&self, id: RunId) -> Result<StoredRun, Error> {
        self.shared.repository.get(id, Part::Work).await?.ok_or(Error::NotFound(id))
    }

    async fn write(&self, update: Update) -> Result<Answer, Error> {
        let answers = self.shared.repository.update([update].into()).await?;
        answers.into_iter().next().ok_or_else(|| refused("the repository gave no answer"))
    }

    /// The run's plan; an empty one for a pipeline that is unknown here, whose runs can be told things all the same.
    fn plan(&self, stored: &StoredRun) -> Arc<Plan> {
        match self.shared.catalog.find(&stored.run.definition) {
            Some(known) => known.plan.clone(),
            None => Arc::new(Plan { definition: stored.run.definition.clone(), stages: Vec::new() }),
        }
    }
}

fn refused(why: &str) -> Error {
    StoreError::new(StoreErrorKind::Refused, why).into()
}
