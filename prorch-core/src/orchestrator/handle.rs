use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;

use crate::engine::Shared;
use crate::error::Error;
use crate::model::{Cause, CauseKind, Part, Run, RunId, Status, Text};
use crate::pipeline::Pipeline;

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
    /// [`Error::NotFound`], or [`Error::Store`] when the repository can't be read.
    pub async fn status(&self) -> Result<Status, Error> {
        Ok(self.row().await?.status())
    }

    /// Waits until the run has ended, and gives what its last step handed on.
    ///
    /// Somebody has to execute it meanwhile: `orchestrator.run_until(run.wait())`, another task, or another process.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] and [`Error::Cancelled`] say which step ended the run otherwise, and why;
    /// [`Error::NotFound`], [`Error::Payload`] and [`Error::Store`] as elsewhere. A passing error of the repository is
    /// waited out.
    pub async fn wait(&self) -> Result<P::Output, Error> {
        let mut pause = FIRST_LOOK;
        loop {
            let ended = self.shared.waiters.listen(self.id);
            match self.row().await {
                Ok(run) if run.status().is_terminal() => return result::<P>(run),
                Err(error) if !error.is_transient() => return Err(error),
                Ok(_) | Err(_) => {}
            }
            told_or_after(ended, pause).await;
            pause = (pause * 2).min(LAZIEST_LOOK);
        }
    }

    async fn row(&self) -> Result<Run, Error> {
        let stored = self.shared.repository.get(self.id, Part::Row).await?;
        stored.map(|stored| stored.run).ok_or(Error::NotFound(self.id))
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

/// Returns when the run's end is told, or when the time has passed.
async fn told_or_after(mut ended: watch::Receiver<()>, pause: Duration) {
    let (mut told, mut sleep) = (pin!(ended.changed()), pin!(tokio::time::sleep(pause)));
    poll_fn(|cx| if told.as_mut().poll(cx).is_ready() { Poll::Ready(()) } else { sleep.as_mut().poll(cx) })
        .await;
}

fn result<P: Pipeline>(run: Run) -> Result<P::Output, Error> {
    let (id, status) = (run.id, run.status());
    let unknown = || Cause { step: None, kind: CauseKind::Error, text: Text::from("no reason is stored") };
    match status {
        Status::Failed => Err(Error::Failed { run: id, cause: run.state.cause.unwrap_or_else(unknown) }),
        Status::Cancelled => {
            Err(Error::Cancelled { run: id, cause: run.state.cause.unwrap_or_else(unknown) })
        }
        _ => {
            let output =
                run.state.output.ok_or(Error::Inconsistent { run: id, status, what: "has no output" })?;
            Ok(P::definition().output(&output)?)
        }
    }
}
