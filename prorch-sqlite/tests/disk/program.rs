//! The program whose disk fails: it starts runs of three steps, works on them, and notes in the ledger what it was told.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use prorch_core::config::OrchestratorConfig;
use prorch_core::error::Error;
use prorch_core::orchestrator::Orchestrator;
use prorch_core::pipeline::{Pipeline, PipelineDefinition, Stage};
use prorch_core::step::{Step, StepContext, StepDefinition, StepResult, finish, pending};
use prorch_sqlite::{Durability, SqliteRepository};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::ledger::{Entry, Ledger};

/// By which a copy of the test knows that it is the program.
const VARIABLE: &str = "PRORCH_TEST_TASK";

/// How long the runs of a process that ended are its own.
pub(crate) const LEASE: Duration = Duration::from_millis(500);

/// What the program is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    /// Its name, with which the keys of its runs begin.
    pub(crate) name: String,
    pub(crate) database: PathBuf,
    /// Where the ledger and the log are.
    pub(crate) outside: PathBuf,
    /// How many tasks start runs side by side, and how many each starts, one after the other.
    pub(crate) starters: u32,
    pub(crate) starts: u32,
    pub(crate) pace: Pace,
    /// How long each call of a step takes.
    pub(crate) work: Duration,
    /// How many bytes the input of each run has beside its key.
    pub(crate) weight: usize,
    pub(crate) durability: Durable,
    pub(crate) until: Until,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Durable {
    PowerLoss,
    ProcessCrash,
}

/// When a task that starts runs starts its next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Pace {
    /// When the start of the last one is answered.
    Fast,
    /// A moment later.
    Slow,
}

/// When the program ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Until {
    /// When it has started its runs. It does not work on them.
    AllStarted,
    /// When it has started its runs and all runs that are stored have ended.
    AllEnded,
}

impl Task {
    /// A task that starts nothing and ends the runs that are there.
    pub(crate) fn new(name: &str, directory: &Path, outside: &Path) -> Self {
        Self {
            name: name.to_owned(),
            database: directory.join("runs.db"),
            outside: outside.to_owned(),
            starters: 0,
            starts: 0,
            pace: Pace::Fast,
            work: Duration::ZERO,
            weight: 0,
            durability: Durable::PowerLoss,
            until: Until::AllEnded,
        }
    }

    /// The same, which starts so many runs in so many lines.
    pub(crate) fn starting(self, starters: u32, starts: u32) -> Self {
        Self { starters, starts, ..self }
    }

    pub(crate) fn of_this_process() -> Option<Self> {
        let task = std::env::var(VARIABLE).ok()?;
        Some(serde_json::from_str(&task).unwrap())
    }

    pub(crate) fn tell(&self, command: &mut std::process::Command) {
        command.env(VARIABLE, serde_json::to_string(self).unwrap());
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.outside.join(format!("{}.log", self.name))
    }

    fn open(&self) -> Result<SqliteRepository, String> {
        let durability = match self.durability {
            Durable::PowerLoss => Durability::PowerLoss,
            Durable::ProcessCrash => Durability::ProcessCrash,
        };
        let opened = SqliteRepository::builder(&self.database).durability(durability).open();
        opened.map_err(|error| format!("{:?}: {error}", error.kind()))
    }
}

/// Plays the program.
pub(crate) async fn play(task: Task) {
    let ledger = Ledger::in_directory(&task.outside);
    let repository = match task.open() {
        Ok(repository) => repository,
        Err(why) => return ledger.note(&Entry::Closed(why)),
    };
    // A run that was cut off again and again is not its own fault here.
    let config = OrchestratorConfig::default().lease(LEASE).poll(Duration::from_millis(1)).crash_cap(10_000);
    let builder = Orchestrator::builder(repository).config(config.concurrency(64));
    let orchestrator =
        builder.pipeline::<Chain>().resource(Worker(ledger.clone(), task.clone())).build().unwrap();
    let starting = start_all(&task, &orchestrator, &ledger);
    match task.until {
        Until::AllStarted => drop(starting.await),
        Until::AllEnded => {
            let until = async {
                starting.await.join_all().await;
                while orchestrator.active_pipelines().await.is_ok_and(|page| page.total != Some(0)) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            if let Err(error) = orchestrator.run_until(until).await {
                ledger.note(&Entry::Stopped(error.to_string()));
            }
        }
    }
}

/// Writes what is logged, warnings and worse, to the file of the task.
pub(crate) fn log(task: &Task) {
    let file = std::fs::File::create(task.log()).unwrap();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_ansi(false)
        .with_writer(Mutex::new(file))
        .init();
}

/// Starts all runs, and gives the tasks that wait for their ends.
async fn start_all(task: &Task, orchestrator: &Orchestrator, ledger: &Ledger) -> JoinSet<()> {
    let mut starters = JoinSet::new();
    for starter in 0..task.starters {
        let (orchestrator, ledger, task) = (orchestrator.clone(), ledger.clone(), task.clone());
        starters.spawn(async move {
            let mut waiting = JoinSet::new();
            for n in 0..task.starts {
                let key = format!("{}/{starter}/{n}", task.name);
                let input = key.clone() + &" ".repeat(task.weight);
                if start(key, input, &orchestrator, &ledger, &mut waiting).await.is_err() {
                    break;
                }
                if task.pace == Pace::Slow {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
            waiting
        });
    }
    let mut all = JoinSet::new();
    while let Some(waiting) = starters.join_next().await {
        let waiting = waiting.unwrap();
        all.spawn(async move { drop(waiting.join_all().await) });
    }
    all
}

/// Starts a run, however often that fails for a reason that passes.
async fn start(
    key: String,
    input: String,
    orchestrator: &Orchestrator,
    ledger: &Ledger,
    waiting: &mut JoinSet<()>,
) -> Result<(), Error> {
    loop {
        match orchestrator.start::<Chain>(input.clone()).key(key.clone()).await {
            Ok(run) => {
                ledger.note(&Entry::Started(key.clone()));
                let ledger = ledger.clone();
                waiting.spawn(async move {
                    if run.wait().await.is_ok() {
                        ledger.note(&Entry::Ended(key));
                    }
                });
                return Ok(());
            }
            // Asking again is right here too: the key is the same.
            Err(error) if error.is_ambiguous() => {
                ledger.note(&Entry::Unknown(key.clone(), error.to_string()))
            }
            Err(error) => {
                ledger.note(&Entry::Refused(key.clone(), error.to_string()));
                if !error.is_transient() {
                    return Err(error);
                }
            }
        }
    }
}

/// The pipeline: three steps, the middle one asked a few times.
struct Chain;

impl Pipeline for Chain {
    type Input = String;
    type Output = String;
    const NAME: &'static str = "Chain";

    fn definition() -> &'static PipelineDefinition {
        static DEFINITION: OnceLock<PipelineDefinition> = OnceLock::new();
        DEFINITION.get_or_init(|| {
            let stages = vec![
                Stage::of::<Link<0>, String>(),
                Stage::of::<Link<1>, String>(),
                Stage::of::<Link<2>, String>(),
            ];
            PipelineDefinition::new(Self::NAME, module_path!(), stages)
        })
    }
}

/// What the steps are given.
struct Worker(Ledger, Task);

/// A step, by its number. It notes its calls with the run's key, which it hands on; what follows the key is weight.
#[derive(Default, Serialize, Deserialize)]
struct Link<const STEP: u32> {
    asked: u32,
}

impl<const STEP: u32> StepDefinition for Link<STEP> {
    const NAME: &'static str = ["first", "middle", "last"][STEP as usize];
}

/// How often the middle step answers that it is not done.
const PENDING: u32 = 3;

impl<const STEP: u32> Step for Link<STEP> {
    type Input = String;
    type Output = String;

    async fn on_continue(&mut self, input: &String, cx: &StepContext) -> StepResult<String> {
        let key = input.trim_end().to_owned();
        let Worker(ledger, task) = cx.resource()?;
        ledger.note(&Entry::Called(key.clone(), (STEP, self.asked), task.name.clone()));
        if !task.work.is_zero() {
            tokio::time::sleep(task.work).await;
        }
        if STEP != 1 || self.asked == PENDING {
            return finish(key);
        }
        self.asked += 1;
        pending()
    }
}
