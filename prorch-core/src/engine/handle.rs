use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::Shared;
use super::report::PassReport;
use super::wake::Inbound;
use super::worker::{Mode, Worker};
use crate::error::Error;

/// How an engine is told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Claim nothing more; let the calls under way end within the grace time.
    Graceful,
    /// Drop the calls under way.
    AtOnce,
}

/// An engine that runs on its own thread. Dropped, it is told to stop at once, and gives its runs back.
pub(crate) struct Engine {
    inbound: mpsc::UnboundedSender<Inbound>,
    done: Option<oneshot::Receiver<Result<PassReport, Error>>>,
}

impl Engine {
    /// Starts an engine whose calls run on the runtime that this is called from.
    pub(crate) fn start(shared: Arc<Shared>, mode: Mode) -> Result<Self, Error> {
        shared.catalog.check(&shared.resources)?;
        let user = Handle::try_current().map_err(|_| Error::NoRuntime)?;
        let (inbound, receiver) = mpsc::unbounded_channel();
        let (report, done) = oneshot::channel();
        let (sender, replays) = (inbound.clone(), shared.replay.is_some());
        let engine = {
            let user = user.clone();
            async move { Worker::new(shared, user, mode, sender, receiver).run().await }
        };
        // Nobody may wait for the report any more: then it is not needed.
        let send = move |ended| drop(report.send(ended));
        if replays {
            user.spawn(async move { send(engine.await) });
        } else {
            on_its_own_thread(engine, send)?;
        }
        Ok(Self { inbound, done: Some(done) })
    }

    /// Tells it to stop. [`join`](Self::join) says when it has.
    pub(crate) fn stop(&self, how: Stop) {
        // A closed channel says that it has stopped already.
        let _ = self.inbound.send(Inbound::Stop(how));
    }

    /// Returns when it has stopped: told to, by an error, or (a pass) because nothing more is due.
    pub(crate) async fn join(&mut self) -> Result<PassReport, Error> {
        let Some(done) = self.done.as_mut() else { return Ok(PassReport::default()) };
        let report = done.await;
        self.done = None;
        report.unwrap_or_else(|_| {
            Err(Error::Engine("its thread ended before its time; this is a bug of prorch".into()))
        })
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop(Stop::AtOnce);
    }
}

/// Runs an engine on a thread with a small runtime, where nothing that a step does to its own thread stops it.
///
/// How it ended is sent when nothing is left of the engine: what it was reading may hold the repository, and a program that
/// ends with the report would end without closing that.
fn on_its_own_thread<T>(
    engine: impl Future<Output = T> + Send + 'static,
    send: impl FnOnce(T) + Send + 'static,
) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| Error::Engine(format!("its runtime could not be made: {error}")))?;
    let run = move || {
        let ended = runtime.block_on(engine);
        drop(runtime);
        send(ended);
    };
    std::thread::Builder::new()
        .name("prorch-engine".into())
        .spawn(run)
        .map(drop)
        .map_err(|error| Error::Engine(format!("its thread could not be started: {error}")))
}
