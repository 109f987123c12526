//! What a worker process does: the test's program, run again.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use prorch_core::clock::Clock;
use prorch_core::config::OrchestratorConfig;
use prorch_core::orchestrator::{Orchestrator, OrchestratorBuilder};
use prorch_core::pipeline::Pipeline;
use prorch_core::repository::Repository;
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::sync::oneshot;

use super::hooks::Hooks;
use super::items::{Family, Items};
use super::journal::Journal;
use super::limits::{Limited, PacedRun};
use super::log::log_to;
use super::pipelines::{Patient, Plain, changing};
use super::steps::Order;
use super::task::{Build, Task, Time};
use crate::clock::UnsteadyClock;

/// How often a clock jumps.
const JUMP_EVERY: Duration = Duration::from_millis(37);
/// How long calls under way may go on when a worker is told to stop.
const GRACE: Duration = Duration::from_secs(2);

/// Is a worker until it is told to stop, if this process was started as one; returns at once if not.
///
/// # Panics
///
/// When the worker can't do its work: the test finds that in what it wrote to standard error.
pub fn child<R: Repository>(make: impl AsyncFnOnce(PathBuf) -> R) {
    let Some(task) = Task::of_this_process() else { return };
    log_to(&task.log());
    // One that aborts is not worth a file.
    limit(Resource::Core, 0);
    if let Some(bytes) = task.memory {
        limit(Resource::As, bytes);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime for the worker");
    runtime.block_on(work(task, make));
}

fn limit(resource: Resource, most: u64) {
    let limit = Rlimit { current: Some(most), maximum: Some(most) };
    setrlimit(resource, limit).expect("the worker can be limited");
}

async fn work<R: Repository>(task: Task, make: impl AsyncFnOnce(PathBuf) -> R) {
    let repository = make(task.store()).await;
    let orchestrator = builder(repository, &task).build().expect("the orchestrator can be built");
    if let Some((runs, order)) = &task.starts {
        match task.build {
            Build::Usual => start::<Plain>(&orchestrator, *runs, order).await,
            Build::Old => start::<changing::Old>(&orchestrator, *runs, order).await,
            Build::New => start::<changing::New>(&orchestrator, *runs, order).await,
        }
        return;
    }
    File::create(task.is_up()).expect("the worker can say that it is up");
    orchestrator.run_until(told_to_stop()).await.expect("the worker ends in peace");
}

async fn start<P: Pipeline<Input = Order>>(orchestrator: &Orchestrator, runs: usize, order: &Order) {
    for _ in 0..runs {
        orchestrator.start::<P>(order.clone()).await.expect("the run can be started");
    }
}

/// An orchestrator as the test and its workers have it.
pub(super) fn builder(repository: impl Repository, task: &Task) -> OrchestratorBuilder {
    let config = OrchestratorConfig::default()
        .lease(task.lease)
        .concurrency(task.concurrency)
        .crash_cap(task.crash_cap)
        .poll(Duration::from_millis(5))
        .grace(GRACE);
    let builder = Orchestrator::builder(repository)
        .config(config)
        .clock(clock(task.time))
        .resource(Journal::open(&task.directory))
        .resource(Hooks::new(&task.directory));
    match task.build {
        Build::Usual => {
            let builder = builder.pipeline::<Limited>().pipeline::<PacedRun>();
            builder.pipeline::<Plain>().pipeline::<Patient>().pipeline::<Items>().pipeline::<Family>()
        }
        Build::Old => builder.pipeline::<changing::Old>(),
        Build::New => builder.pipeline::<changing::New>(),
    }
}

fn clock(time: Time) -> impl Clock {
    match time {
        Time::Right => UnsteadyClock::wrong_by(0),
        Time::WrongBy(seconds) => UnsteadyClock::wrong_by(seconds),
        Time::Late(lateness) => UnsteadyClock::wrong_by(0).late(lateness),
        Time::Jumping => jumping(),
    }
}

/// A clock that jumps as long as somebody has it.
fn jumping() -> UnsteadyClock {
    let clock = UnsteadyClock::wrong_by(0);
    let jumps = clock.clone();
    std::thread::spawn(move || {
        for seconds in [3_600, 0, -3_600, 3_600, -3_600, 0].into_iter().cycle() {
            std::thread::sleep(JUMP_EVERY);
            jumps.jump(seconds);
        }
    });
    clock
}

/// Returns when the test closes this process's standard input, as it does too by its end.
async fn told_to_stop() {
    let (tell, told) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        // The worker may have ended by itself.
        let _ = tell.send(());
    });
    let _ = told.await;
}
