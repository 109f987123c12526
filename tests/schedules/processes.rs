//! Four processes on one SQLite file, killed and started at random: each tick makes one run.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use prorch::Status;
use prorch::prelude::*;
use prorch::repository::{Filter, Timestamp};
use prorch_testkit::soak::{chance, pick, say};

use crate::bench::{Note, ticks};

/// By which a process that is a copy of the test knows that it is a worker, and where the store is.
const STORE: &str = "PRORCH_SCHEDULED_WORKER";
const WORKERS: usize = 4;
const SECOND: Duration = Duration::from_secs(1);

fn open(store: &Path) -> Orchestrator {
    let config = OrchestratorConfig::default().lease(SECOND);
    let repository = SqliteRepository::open(store).unwrap();
    Orchestrator::builder(repository).config(config).pipeline::<Note>().build().unwrap()
}

/// Is a worker when this program was started as one, until its standard input is closed.
#[test]
fn worker() {
    let Some(store) = std::env::var_os(STORE) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let (tell, told) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            let _ = tell.send(());
        });
        open(Path::new(&store)).run_until(told).await.unwrap();
    });
}

/// A worker process. It is killed when this is dropped.
struct Worker(Child);

impl Worker {
    fn start(store: &Path) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "processes::worker", "--nocapture", "--test-threads=1"])
            .env(STORE, store)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn each_second_makes_one_run_whenever_processes_are_killed() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(each_second_makes_one_run(pick(4, 60)));
}

async fn each_second_makes_one_run(seconds: u64) {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("runs.db");
    let orchestrator = open(&store);
    let mut chance = chance();
    let mut workers: Vec<Worker> = (0..WORKERS).map(|_| Worker::start(&store)).collect();
    let made = orchestrator.schedule::<Note>("second", "* * * * * *", 1).await.unwrap();
    let first = made.next.unwrap();
    let (mut kills, began) = (0, Instant::now());
    let expected: Vec<String> = (0..seconds).map(|tick| shown(first + SECOND * tick as u32)).collect();
    loop {
        tokio::time::sleep(Duration::from_millis(chance.u64(50..400))).await;
        let found = ticks(&orchestrator, "second").await;
        if found.last() >= expected.last() && open_runs(&orchestrator).await == 0 {
            break;
        }
        assert!(
            began.elapsed() < Duration::from_secs(120) + SECOND * seconds as u32,
            "no tick after {found:?}"
        );
        if began.elapsed() < SECOND * seconds as u32 {
            let victim = chance.usize(..WORKERS);
            workers[victim] = Worker::start(&store);
            kills += 1;
        }
    }
    drop(workers);
    let found = ticks(&orchestrator, "second").await;
    assert_eq!(found[..expected.len()], expected, "one run for each tick");
    assert!(found.windows(2).all(|pair| pair[0] < pair[1]), "{found:?}");
    say(&format!("{kills} kills of {WORKERS} processes over {seconds} ticks of a second: {seconds} runs"));
}

/// Runs that were started by a tick and have not ended, but for those of this moment.
async fn open_runs(orchestrator: &Orchestrator) -> usize {
    let filter = Filter::all().pipeline(Note::NAME).statuses(Status::ACTIVE).limit(1_000);
    let open = orchestrator.search(&filter).await.unwrap().runs;
    let newest = open.iter().map(|run| run.created_at).max();
    open.iter().filter(|run| newest.is_some_and(|newest| run.created_at + SECOND < newest)).count()
}

fn shown(tick: Timestamp) -> String {
    tick.to_string().replace(".000Z", "Z")
}
