//! Starts backups, executes them, and says what became of them.

use std::fs;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};
use prorch::prelude::*;
use prorch::repository::{StoredRun, Timestamp};
use prorch::{RunHandle, RunId, Status};

use crate::archivers::Archivers;
use crate::notification::Receipt;
use crate::options::Options;
use crate::pipeline::BackupAutomation;
use crate::probe::Probe;
use crate::screen::Screen;
use crate::ticket::Ticket;

/// When this program was killed, its run is free for the next one after this time. A lease this short suits a program
/// that people start by hand; a fleet of workers lives well with the default.
const LEASE: Duration = Duration::from_secs(2);
/// How often the screen is brought up to date.
const LOOK: Duration = Duration::from_millis(100);
/// How long `execute` rests between two passes.
const REST: Duration = Duration::from_millis(20);

/// What the program works with.
pub(crate) struct Desk {
    orchestrator: Orchestrator,
    probe: Arc<Probe>,
    screen: Screen,
    database: PathBuf,
}

/// A run that is to be brought to its end, and the ticket that it was started with.
struct Job {
    ticket: Ticket,
    run: RunHandle<BackupAutomation>,
}

impl Desk {
    /// Opens the database, and makes it if there is none.
    pub(crate) fn open(options: &Options) -> anyhow::Result<Self> {
        let database = &options.database;
        let directory = database.parent().context("the database has no directory")?;
        fs::create_dir_all(directory).with_context(|| format!("can't create `{}`", directory.display()))?;
        let repository = SqliteRepository::open(database)
            .with_context(|| format!("can't open the database `{}`", database.display()))?;
        let probe = Arc::new(Probe::new(options)?);
        let orchestrator = Orchestrator::builder(repository)
            .config(OrchestratorConfig::default().lease(LEASE))
            .pipeline::<BackupAutomation>()
            .resource(Arc::new(Archivers::beside(database)))
            .resource(Arc::clone(&probe))
            .build()?;
        Ok(Self { orchestrator, probe, screen: Screen::new(), database: database.clone() })
    }

    /// Starts a backup and leaves it to `execute`.
    pub(crate) async fn create(&self, options: &Options) -> anyhow::Result<()> {
        let run = self.start(&self.ticket(options)?).await?;
        let what = if run.is_new() { "is created" } else { "was created before" };
        self.screen.say(&format!("run {} {what}: `execute` brings it to its end", run.id()));
        Ok(())
    }

    /// Makes passes until nothing is left to be done.
    pub(crate) async fn execute(mut self) -> anyhow::Result<()> {
        let mut jobs = Vec::new();
        for ticket in Ticket::all(&self.database)? {
            jobs.push(self.begin(ticket).await?);
        }
        while self.orchestrator.active_pipelines().await?.total != Some(0) {
            self.orchestrator.execute_pipelines().await?;
            self.show(&jobs).await?;
            tokio::time::sleep(REST).await;
        }
        let mut errors = Vec::new();
        for job in jobs {
            let ended = job.run.wait().await;
            errors.extend(self.report(job, ended).err().map(|error| format!("{error:#}")));
        }
        ensure!(errors.is_empty(), errors.join("; "));
        Ok(())
    }

    /// Starts a backup, or finds it where an earlier command left it, and works until it has ended.
    pub(crate) async fn create_and_execute(mut self, options: &Options) -> anyhow::Result<()> {
        let job = self.begin(self.ticket(options)?).await?;
        let mut ended = None;
        let until = async {
            tokio::select! {
                result = follow(&self.orchestrator, &mut self.screen, &job.run) => ended = Some(result),
                _ = tokio::signal::ctrl_c() => {}
            }
        };
        self.orchestrator.run_until(until).await?;
        let Some(ended) = ended else { bail!("stopped; the same command goes on with run {}", job.run.id()) };
        self.show(std::slice::from_ref(&job)).await?;
        self.report(job, ended)
    }

    /// The ticket of the backup that is asked for. For a new one, the source must be there; one that is under way may
    /// have its archive already.
    fn ticket(&self, options: &Options) -> anyhow::Result<Ticket> {
        let request = options.request();
        if let Some(ticket) = Ticket::find(&self.database, &request)? {
            return Ok(ticket);
        }
        let source = &request.source;
        fs::read_dir(source).with_context(|| format!("can't read the source `{}`", source.display()))?;
        Ticket::open(&self.database, &request)
    }

    /// The run of this ticket: started now, or found where it is.
    async fn start(&self, ticket: &Ticket) -> anyhow::Result<RunHandle<BackupAutomation>> {
        let entry = &ticket.entry;
        Ok(self.orchestrator.start::<BackupAutomation>(entry.request.clone()).key(&entry.key).await?)
    }

    /// Makes sure that the ticket's run is on its way, and says where it stands.
    async fn begin(&mut self, ticket: Ticket) -> anyhow::Result<Job> {
        let run = self.start(&ticket).await?;
        let stored = stored(&self.orchestrator, run.id()).await?;
        let (id, request) = (run.id(), &ticket.entry.request);
        let line = match stored.run.status() {
            _ if run.is_new() => {
                format!(
                    "run {id}: backs up `{}` into `{}`",
                    request.source.display(),
                    request.vault.display()
                )
            }
            Status::Created | Status::Pending => {
                format!("resuming run {id} {}{}", place(&stored), rest(&stored))
            }
            Status::Failed => {
                self.orchestrator.retry(id).await?;
                format!("resuming run {id} {}, which failed", place(&stored))
            }
            Status::Finished | Status::Cancelled => format!("run {id} had ended, and nobody was told"),
        };
        self.screen.say(&line);
        self.screen.skip(&stored);
        Ok(Job { ticket, run })
    }

    async fn show(&mut self, jobs: &[Job]) -> anyhow::Result<()> {
        for job in jobs {
            self.screen.show(&stored(&self.orchestrator, job.run.id()).await?);
        }
        Ok(())
    }

    /// Says how a run ended. Only then its ticket is closed; that of a failed one stays open, so that the same command
    /// tries it again.
    fn report(&self, job: Job, ended: Result<Receipt, prorch::Error>) -> anyhow::Result<()> {
        self.probe.ended(job.run.id());
        match ended {
            Ok(receipt) => {
                let Receipt { archive, entries, bytes, sha256, .. } = &receipt;
                self.screen
                    .say(&format!("archive: {} ({entries} entries, {bytes} bytes)", archive.display()));
                self.screen.say(&format!("sha256:  {sha256}"));
                self.screen.say(&format!("receipt: {}", receipt.path().display()));
                job.ticket.close()
            }
            Err(error @ prorch::Error::Failed { .. }) => {
                bail!("{error}; when that is mended, the same command goes on with it")
            }
            Err(error @ prorch::Error::Cancelled { .. }) => job.ticket.close().and(Err(error.into())),
            Err(error) => Err(error.into()),
        }
    }
}

/// Shows how a run is doing until it has ended.
async fn follow(
    orchestrator: &Orchestrator,
    screen: &mut Screen,
    run: &RunHandle<BackupAutomation>,
) -> Result<Receipt, prorch::Error> {
    let mut ended = pin!(run.wait());
    loop {
        if let Some(stored) = orchestrator.get(run.id()).await? {
            screen.show(&stored);
        }
        tokio::select! {
            result = &mut ended => return result,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

async fn stored(orchestrator: &Orchestrator, id: RunId) -> anyhow::Result<StoredRun> {
    orchestrator.get(id).await?.with_context(|| format!("run {id} has gone from the database"))
}

/// Where a run stands. One that was not answered by a step yet has no record of it.
fn place(stored: &StoredRun) -> String {
    stored
        .current()
        .next()
        .map_or_else(|| "at its beginning".into(), |record| format!("at step {}", record.name))
}

/// How long a run must be left alone, since a process that was killed holds it, or one that lives.
fn rest(stored: &StoredRun) -> String {
    let now = Timestamp::default() + SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let left = stored.run.lease.map(|lease| lease.until.saturating_since(now)).unwrap_or_default();
    if left.is_zero() {
        return String::new();
    }
    format!(", in {:.1} s, when the lease of the process that worked on it has ended", left.as_secs_f64())
}
