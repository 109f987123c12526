use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;

use crate::engine::Shared;
use crate::error::Error;
use crate::model::{Cause, CauseKind, Part, RunId, Status, StoredRun, Text};
use crate::pipeline::Pipeline;
use crate::repository::{HandedError, handed_on_by_run};

/// A handle on one run. It works whichever process executes the run.
pub struct RunHandle<P: Pipeline> {
    shared: Arc<Shared>,
    id: RunId,
    is_new: bool,
    pipeline: PhantomData<fn() -> P>,
}

/// How often the store is asked whether a run has ended that another process may execute: first after this, then less
/// and less often.
const FIRST_LOOK: Duration = Duration::from_millis(20);
const LAZIEST_LOOK: Duration = Duration::from_secs(1);

impl<P: Pipeline> RunHandle<P> {
    pub(super) const fn new(shared: Arc<Shared>, id: RunId, is_new: bool) -> Self {
        Self { shared, id, is_new, pipeline: PhantomData }
    }

    /// The run's id.
    #[must_use]
    pub const fn id(&self) -> RunId {
        self.id
    }

    /// Whether the run was started by the call that gave this handle, rather than found under its key.
    #[must_use]
    pub const fn is_new(&self) -> bool {
        self.is_new
    }

    /// Where the run stands.
    ///
    /// # Errors
    ///
    /// [`Error::Removed`], or [`Error::Store`] when the repository can't be read.
    pub async fn status(&self) -> Result<Status, Error> {
        Ok(self.row().await?.run.status())
    }

    /// Waits until the run has ended, and gives what its last step handed on.
    ///
    /// Somebody has to execute it meanwhile: `orchestrator.run_until(run.wait())`, another task, or another process.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] and [`Error::Cancelled`] say which step ended the run otherwise, and why;
    /// [`Error::Removed`] when it is not there any more; [`Error::Payload`] and [`Error::Store`] as elsewhere. A passing error of the repository is
    /// waited out.
    pub async fn wait(&self) -> Result<P::Output, Error> {
        let mut pause = FIRST_LOOK;
        loop {
            let ended = self.shared.waiters.listen(self.id);
            match self.row().await {
                Ok(stored) if stored.run.status().is_terminal() => match self.result(stored).await {
                    Err(error) if error.is_transient() => {}
                    result => return result,
                },
                Err(error) if !error.is_transient() => return Err(error),
                Ok(_) | Err(_) => {}
            }
            told_or_after(ended, pause).await;
            pause = (pause * 2).min(LAZIEST_LOOK);
        }
    }

    async fn row(&self) -> Result<StoredRun, Error> {
        self.shared.repository.get(self.id, Part::Row).await?.ok_or(Error::Removed(self.id))
    }

    /// What a run that has ended came to.
    async fn result(&self, stored: StoredRun) -> Result<P::Output, Error> {
        let (run, status) = (self.id, stored.run.status());
        if stored.run.sealed {
            return Err(Error::Removed(run));
        }
        let unknown =
            || Cause { step: None, kind: CauseKind::Error, text: Text::from("no reason is stored") };
        let cause = stored.run.state.cause.clone().unwrap_or_else(unknown);
        match status {
            Status::Failed => Err(Error::Failed { run, cause }),
            Status::Cancelled => Err(Error::Cancelled { run, cause }),
            _ => match handed_on_by_run(&self.shared.repository, &stored).await {
                Ok(output) => Ok(P::definition().output(&output)?),
                Err(HandedError::Store(error)) => Err(error.into()),
                Err(HandedError::TooLong) => Err(Error::Inconsistent { run, status, what: TOO_LONG }),
                Err(HandedError::Missing(_)) => {
                    Err(Error::Inconsistent { run, status, what: "has no output" })
                }
            },
        }
    }
}

impl<P: Pipeline> Clone for RunHandle<P> {
    fn clone(&self) -> Self {
        Self::new(self.shared.clone(), self.id, self.is_new)
    }
}

impl<P: Pipeline> std::fmt::Debug for RunHandle<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunHandle")
            .field("pipeline", &P::NAME)
            .field("id", &self.id)
            .field("is_new", &self.is_new)
            .finish_non_exhaustive()
    }
}

/// What a run ends with whose last stage has so many members that their outputs don't fit into one value.
const TOO_LONG: &str = "what its last stage hands on together has more than 64 MiB of JSON: let its steps hand on paths \
                        or keys";

/// Returns when the run's end is told, or when the time has passed.
async fn told_or_after(mut ended: watch::Receiver<()>, pause: Duration) {
    let (mut told, mut sleep) = (pin!(ended.changed()), pin!(tokio::time::sleep(pause)));
    poll_fn(|cx| if told.as_mut().poll(cx).is_ready() { Poll::Ready(()) } else { sleep.as_mut().poll(cx) })
        .await;
}
