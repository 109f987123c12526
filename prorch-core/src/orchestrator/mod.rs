//! What a program holds: it starts runs, runs them, and tells them things.

mod builder;
mod wishes;
mod start;
mod restart;
mod handle;
mod control;
mod settle;
#[cfg(feature = "cron")]
mod schedule;
#[cfg(feature = "cron")]
mod declared;
mod prune;
mod history;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

pub use builder::OrchestratorBuilder;
pub use control::Told;
pub use handle::RunHandle;
pub use history::RunHistory;
pub use restart::{Restart, Restarted};
#[cfg(feature = "cron")]
pub use schedule::{NewSchedule, Schedule};
pub use settle::Settle;
pub use start::Start;

use crate::engine::{Engine, Mode, PassReport, Shared, Stop};
use crate::error::Error;
use crate::model::{Filter, Page, Part, Position, RunId, StoredRun, Text, bounded};
use crate::pipeline::Pipeline;
use crate::repository::{Health, Repository};
use crate::step::Step;

/// Starts runs, runs them, and tells them things. Cheap to clone; clones are one orchestrator.
#[derive(Clone)]
pub struct Orchestrator {
    shared: Arc<Shared>,
    /// For whom runs are told things.
    who: Option<Text>,
}

/// How many step records [`Orchestrator::get`] brings at most.
const SHOWN_RECORDS: usize = 1_000;
/// The longest name of who tells runs things, in bytes.
const MAX_SENDER: usize = 256;

impl Orchestrator {
    /// Begins an orchestrator whose runs live in `repository`.
    pub fn builder(repository: impl Repository) -> OrchestratorBuilder {
        OrchestratorBuilder::new(repository)
    }

    /// Starts a run of `P` with this input. Awaited, it gives a handle, and the run is durable.
    ///
    /// The run is executed by whoever makes passes over the repository: this process, or another one.
    pub fn start<P: Pipeline>(&self, input: P::Input) -> Start<P> {
        Start::new(self.shared.clone(), &input)
    }

    /// Restarts a run that has ended: a new run of the same pipeline with the same input, which begins at a step that is
    /// named ([`Restart::from`]) and takes over what all before it have finished. Without a name it begins at the first.
    /// The old run stays as it is; the new one says where it comes from ([`Run::origin`](crate::model::Run::origin)).
    ///
    /// To let the same run try again where it failed, [`retry`](Self::retry) it.
    ///
    /// ```
    /// # use prorch_core::{error::Error, model::{Filter, RunId}, orchestrator::Orchestrator};
    /// # async fn example(orchestrator: &Orchestrator, failed: RunId) -> Result<(), Error> {
    /// let restarted = orchestrator.restart(failed).from("Transfer").key("orders, once more").await?;
    /// let all = orchestrator.search(&Filter::all().restarted_from(failed)).await?;
    /// assert_eq!(all.runs[0].id, restarted.id());
    /// # Ok(()) }
    /// ```
    pub fn restart(&self, id: RunId) -> Restart {
        Restart::new(self.shared.clone(), id)
    }

    /// Says what became of the step `S` of a run that failed *in doubt*: the step is called `at_most_once`, its first call was
    /// begun, and it is not known whether that did its work ([`Step::on_uncertain`]). Whoever
    /// has looked says that it finished, with what it hands on, that it failed, or that it may start again. Of several only the
    /// first one counts.
    ///
    /// ```
    /// # use prorch_core::{error::Error, model::RunId, orchestrator::Orchestrator, step::Step};
    /// # async fn example<Pay: Step<Output = u64>>(orchestrator: &Orchestrator, run: RunId) -> Result<(), Error> {
    /// let receipt = 4711; // as the bank's books have it
    /// orchestrator.settle::<Pay>(run).finished(receipt).await?;
    /// # Ok(()) }
    /// ```
    pub fn settle<S: Step>(&self, id: RunId) -> Settle<S> {
        Settle::new(self.clone(), id)
    }

    /// The same orchestrator, for somebody: what it tells runs stands in their history
    /// ([`history`](Self::history)) with this name, instead of this process's number.
    ///
    /// ```
    /// # use prorch_core::{error::Error, model::RunId, orchestrator::Orchestrator};
    /// # async fn example(orchestrator: &Orchestrator, id: RunId) -> Result<(), Error> {
    /// orchestrator.acting_for("ada, from the desk").cancel(id, "ordered twice").await?;
    /// for entry in orchestrator.history(id).await?.entries {
    ///     println!("{} {:?} {:?} {:?}", entry.at, entry.kind, entry.text, entry.sender);
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn acting_for(&self, who: impl AsRef<str>) -> Self {
        Self { who: Some(bounded(who.as_ref(), MAX_SENDER)), ..self.clone() }
    }

    /// Who tells runs things.
    fn sender(&self) -> Text {
        self.who.clone().unwrap_or_else(|| Text::from(format!("process {}", std::process::id())))
    }

    /// A handle on a run that is there already.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::OtherPipeline`] when it executes another pipeline than `P`, or [`Error::Store`].
    pub async fn handle<P: Pipeline>(&self, id: RunId) -> Result<RunHandle<P>, Error> {
        let stored = self.shared.repository.get(id, Part::Row).await?.ok_or(Error::NotFound(id))?;
        let found = stored.run.definition.pipeline;
        if found != P::NAME {
            return Err(Error::OtherPipeline { run: id, found: found.to_string(), expected: P::NAME });
        }
        Ok(RunHandle::new(self.shared.clone(), id, false))
    }

    /// Makes one pass: every run that is due is driven as far as it can go now. Runs that are due again later, after a
    /// `pending()` or an error, wait for the next pass.
    ///
    /// # Errors
    ///
    /// [`Error::NoPipelines`], [`Error::MissingResource`] and [`Error::NoRuntime`] before anything is claimed;
    /// [`Error::Store`] when the repository can't be used any more. An error of a step is its run's own affair.
    pub async fn execute_pipelines(&self) -> Result<PassReport, Error> {
        self.shared.catch_up().await?;
        #[cfg(feature = "cron")]
        self.declare_schedules().await?;
        let now = self.shared.time.now();
        Engine::start(self.shared.clone(), Mode::Pass(now))?.join().await
    }

    /// The runs that are created or pending: the first hundred, with how many there are in all
    /// ([`Page::total`]). More by [`search`](Self::search) with [`Filter::active`].
    ///
    /// # Errors
    ///
    /// [`Error::Store`] when the repository can't be read.
    pub async fn active_pipelines(&self) -> Result<Page, Error> {
        self.search(&Filter::active().with_total()).await
    }

    /// Works until `until` resolves, then stops: claims nothing more, lets calls under way end within the grace time,
    /// and gives its runs back. What `until` resolves to is dropped.
    ///
    /// When the returned future is dropped instead, calls under way are dropped too and the runs are given back.
    ///
    /// # Errors
    ///
    /// As [`execute_pipelines`](Self::execute_pipelines).
    pub async fn run_until(&self, until: impl Future) -> Result<(), Error> {
        let mut engine = Engine::start(self.shared.clone(), Mode::Worker)?;
        let ended = {
            let (mut join, mut until) = (pin!(engine.join()), pin!(until));
            let mut declaring = Some(Box::pin(self.declare_schedules_in_time()));
            poll_fn(|cx| {
                if let Some(declare) = &mut declaring
                    && let Poll::Ready(declared) = declare.as_mut().poll(cx)
                {
                    declaring = None;
                    if declared.is_err() {
                        return Poll::Ready(Some(declared));
                    }
                }
                match join.as_mut().poll(cx) {
                    Poll::Ready(ended) => Poll::Ready(Some(ended.map(drop))),
                    Poll::Pending => until.as_mut().poll(cx).map(|_| None),
                }
            })
            .await
        };
        if let Some(ended) = ended {
            return ended;
        }
        engine.stop(Stop::Graceful);
        engine.join().await.map(drop)
    }

    /// Without schedules there is nothing to look after.
    #[cfg(not(feature = "cron"))]
    async fn declare_schedules_in_time(&self) -> Result<(), Error> {
        Ok(())
    }

    /// What is stored of a run: its row, and its steps' records (at most the first thousand); none when there is no such
    /// run.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] when the repository can't be read.
    pub async fn get(&self, id: RunId) -> Result<Option<StoredRun>, Error> {
        let part = Part::Records { from: Position::default(), limit: SHOWN_RECORDS };
        Ok(self.shared.repository.get(id, part).await?)
    }

    /// The runs that `filter` finds.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] when the repository can't be read.
    pub async fn search(&self, filter: &Filter) -> Result<Page, Error> {
        Ok(self.shared.repository.search(filter).await?)
    }

    /// What somebody should look after in the repository, with what to do about it: for a page or a probe that tells
    /// how the program is. It answers from what is known, also when the repository does not answer anything else.
    ///
    /// ```
    /// # use prorch_core::{orchestrator::Orchestrator, repository::MemoryRepository};
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let orchestrator = Orchestrator::builder(MemoryRepository::new()).build()?;
    /// let health = orchestrator.health().await;
    /// assert!(health.is_good(), "{health}");
    /// # Ok::<(), prorch_core::error::Error>(()) }).unwrap();
    /// ```
    pub async fn health(&self) -> Health {
        self.shared.repository.health().await
    }
}

impl std::fmt::Debug for Orchestrator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Orchestrator").field("catalog", &self.shared.catalog).finish_non_exhaustive()
    }
}
