//! How many calls are made, and for whom.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use prorch::prelude::*;
use prorch::repository::{MemoryRepository, Repository, Status};
use prorch_testkit::soak;
use prorch_testkit::spy::{Seen, SpyRepository};

use crate::bench::{Bench, Call, Job, World, job, on_both, roomy};

job!((poll = "10s") Render);
job!((poll = "10s", batch(max = 40)) Print);

#[pipeline(steps = [Render])]
struct Film;

#[pipeline(steps = [Render])]
struct Trailer;

#[pipeline(steps = [Print])]
struct Book;

#[step]
async fn scenes(number: u64) -> StepResult<Vec<u64>> {
    finish((number * 100..number * 100 + 30).collect())
}

#[pipeline(steps = [scenes, each(Render, concurrency = 30)])]
struct Series;

/// Of four jobs in a row one is done, one is asked for later, one is gone, and of one nothing is known.
fn of_every_kind() -> World {
    let job = |number| match number % 4 {
        0 => Job::Done,
        1 => Job::Later(5),
        2 => Job::Fails,
        _ => Job::Unknown,
    };
    World::new(|_| Call::Returns, job)
}

async fn one_call_settles_a_thousand_runs_each_with_its_own_outcome<R: Repository + Clone>(store: R) {
    let runs = soak::pick(400, 1_000);
    let bench = Bench::new(store, of_every_kind(), roomy(), |builder| builder.pipeline::<Film>());
    let ids = bench.start::<Film>(0..runs).await;
    assert_eq!(bench.world.take().sizes(), [0_usize; 0], "all wait");
    let report = bench.pass_after(1).await;
    soak::say(&format!("{runs} waiting runs were settled by {} call", report.calls));
    assert_eq!((report.calls, bench.world.take().sizes()), (1, vec![usize::try_from(runs).unwrap()]));
    let quarter = runs / 4;
    assert_eq!((report.finished, report.failed, report.waiting), (quarter, quarter, 2 * quarter));
    for (number, id) in (0..).zip(ids) {
        let (stored, record) = (bench.stored(id).await, bench.record(id).await);
        let (status, output) = (stored.run.status(), stored.run.state.output.as_deref().map(str::to_owned));
        let asked = record.state.as_deref() == Some(r#"{"asked":1}"#);
        match number % 4 {
            0 => {
                assert_eq!((status, output, asked), (Status::Finished, Some((number + 1).to_string()), true))
            }
            2 => assert_eq!((status, output, asked), (Status::Failed, None, false)),
            _ => assert_eq!((status, output, asked), (Status::Pending, None, true), "{number}"),
        }
        let waits = record.due_at.map(|due| due.saturating_since(bench.now()).as_secs());
        let expected = [None, Some(5), None, Some(10)][usize::try_from(number % 4).unwrap()];
        assert_eq!(waits, expected, "its own time, or the poll interval");
    }
    assert_eq!(bench.pass_after(5).await.calls, 1);
    assert_eq!(bench.world.take().sizes(), [usize::try_from(quarter).unwrap()]);
}

/// With places for 30 runs a call has at most 30, and as many as there are places for.
async fn a_call_has_as_many_runs_as_the_worker_has_places<R: Repository + Clone>(store: R) {
    let world = World::new(|_| Call::Returns, |_| Job::Done);
    let bench = Bench::new(store, world, roomy().concurrency(30), |builder| builder.pipeline::<Film>());
    bench.start::<Film>(0..100).await;
    assert_eq!(bench.pass_after(1).await.finished, 100);
    assert_eq!(bench.world.take().sizes(), [30, 30, 30, 10]);
}

async fn a_call_has_at_most_as_many_as_the_step_says<R: Repository + Clone>(store: R) {
    let world = World::new(|_| Call::Returns, |_| Job::Done);
    let bench = Bench::new(store, world, roomy(), |builder| builder.pipeline::<Book>());
    bench.start::<Book>(0..100).await;
    assert_eq!(bench.pass_after(1).await.finished, 100);
    assert_eq!(bench.world.take().sizes(), [40, 40, 20]);
}

async fn runs_of_all_pipelines_with_the_step_go_together<R: Repository + Clone>(store: R) {
    let world = World::new(|_| Call::Returns, |_| Job::Done);
    let add = |builder: prorch::OrchestratorBuilder| builder.pipeline::<Film>().pipeline::<Trailer>();
    let bench = Bench::new(store, world, roomy(), add);
    bench.start::<Film>(0..5).await;
    bench.start::<Trailer>(10..15).await;
    assert_eq!(bench.pass_after(1).await.finished, 10);
    let mut asked = bench.world.take().together;
    assert_eq!(asked.len(), 1);
    asked[0].sort_unstable();
    assert_eq!(asked[0], [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]);
}

/// The items of two lists and the runs of another pipeline are in one call.
async fn the_items_of_a_list_go_together_too<R: Repository + Clone>(store: R) {
    let job = |number: u64| if number == 105 { Job::Later(5) } else { Job::Done };
    let world = World::new(|_| Call::Returns, job);
    let add = |builder: prorch::OrchestratorBuilder| builder.pipeline::<Film>().pipeline::<Series>();
    let bench = Bench::new(store, world, roomy(), add);
    let start = async |number: u64| bench.orchestrator.start::<Series>(number).await.unwrap();
    let lists = [start(1).await, start(2).await];
    for number in 0..5 {
        bench.orchestrator.start::<Film>(number).await.unwrap();
    }
    let rest = async {
        bench.until_idle(7).await;
        bench.clock.advance(Duration::from_secs(3));
        bench.until_idle(1).await;
        assert_eq!(bench.world.take().sizes(), [65]);
        let records = bench.stored(lists[0].id()).await.records;
        assert_eq!(records.into_values().filter(|record| record.is_open()).count(), 1);
    };
    bench.orchestrator.run_until(rest).await.unwrap();
}

/// Runs that came at different times, and wait for as long, are due together all the same.
async fn what_waits_is_due_together<R: Repository + Clone>(store: R) {
    let world = World::new(|_| Call::Returns, |_| Job::Unknown);
    let bench = Bench::new(store, world, roomy(), |builder| builder.pipeline::<Film>());
    for number in 0..8 {
        bench.clock.advance(Duration::from_millis(90));
        bench.start::<Film>(number..number + 1).await;
    }
    assert_eq!(bench.pass().await.claimed, 0, "nothing is due early");
    assert_eq!(bench.pass_after(1).await.claimed, 0, "they wait for each other");
    bench.pass_after(1).await;
    assert_eq!(bench.world.take().sizes(), [8], "at a second that is whole");
    assert_eq!(bench.pass_after(10).await.claimed, 0);
    bench.pass_after(1).await;
    assert_eq!(bench.world.take().sizes(), [8]);
}

/// What a call says of the items of one list is one write.
#[tokio::test]
async fn what_becomes_of_one_run_is_written_at_once() {
    let written = Arc::new(Mutex::new(Vec::new()));
    let tell = {
        let written = written.clone();
        move |seen: Seen<'_>| {
            let Seen::Answered(update, _) = seen else { return };
            let of_items = update.records.iter().filter(|write| write.record().position.stage == 1);
            let finished = of_items.filter(|write| write.record().status == Status::Finished).count();
            written.lock().unwrap().extend((finished > 0).then_some(finished));
        }
    };
    let store = SpyRepository::new(MemoryRepository::new(), tell);
    let world = World::new(|_| Call::Returns, |_| Job::Done);
    let bench = Bench::new(store, world, roomy(), |builder| builder.pipeline::<Series>());
    bench.start::<Series>(1..2).await;
    assert_eq!(bench.pass_after(1).await.finished, 1);
    assert_eq!(*written.lock().unwrap(), [30]);
}

on_both!(
    one_call_settles_a_thousand_runs_each_with_its_own_outcome,
    a_call_has_as_many_runs_as_the_worker_has_places,
    a_call_has_at_most_as_many_as_the_step_says,
    runs_of_all_pipelines_with_the_step_go_together,
    the_items_of_a_list_go_together_too,
    what_waits_is_due_together,
);
