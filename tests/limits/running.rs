//! How many runs of a pipeline have begun and not ended.

use std::time::Duration;

use prorch::Status;
use prorch::prelude::*;
use prorch::repository::Repository;

use crate::bench::{Bench, Watch, World, on_both};

/// Waits for ten seconds, and is done.
#[step]
struct Dump {
    begun: bool,
}

impl Step for Dump {
    type Input = u64;
    type Output = u64;

    async fn on_start(&mut self, of: &u64, cx: &StepContext) -> StepResult<u64> {
        cx.resource::<World>()?.does("dump", *of, cx.resource::<Watch>()?);
        self.begun = true;
        pending_for(Duration::from_secs(10))
    }

    async fn on_continue(&mut self, of: &u64, _: &StepContext) -> StepResult<u64> {
        finish(*of)
    }
}

#[pipeline(steps = [Dump], max_running = 2)]
struct Backup;

#[pipeline(steps = [Dump], max_running(1, per = "tenant"))]
struct OfTenant;

/// At each level one run of its own, as long as there is a level below.
#[step]
async fn descend(levels: u64, world: &World, watch: &Watch) -> StepResult<Vec<u64>> {
    world.does("descend", levels, watch);
    finish(levels.checked_sub(1).into_iter().collect())
}

#[step]
async fn count(below: Vec<u64>) -> StepResult<u64> {
    finish(below.into_iter().sum::<u64>() + 1)
}

#[pipeline(steps = [descend, each(run(Tree)), count], max_running = 1, input = u64, output = u64)]
struct Tree;

#[pipeline(steps = [each(run(OfTenant))], max_running(3, per = "tenant"))]
struct Fleet;

async fn only_so_many_run_and_the_others_follow<R: Repository + Clone>(store: R) {
    let bench = Bench::new(store, |builder| builder.pipeline::<Backup>());
    for of in 0..5 {
        bench.start::<Backup>(of).await;
    }
    bench.pass().await;
    assert_eq!(bench.world.of("dump"), [0, 1]);
    bench.pass_after(Duration::from_secs(5)).await;
    assert_eq!(bench.world.of("dump"), [0; 0], "a run that waits runs");
    bench.pass_after(Duration::from_secs(5)).await;
    assert_eq!(bench.world.of("dump"), [2, 3], "who ends makes room, in that pass");
    bench.until_all_ended().await;
    assert_eq!(bench.world.of("dump"), [4]);
}

async fn a_run_that_waits_for_room_is_cancelled_at_once<R: Repository + Clone>(store: R) {
    let bench = Bench::new(store, |builder| builder.pipeline::<Backup>());
    let mut runs = Vec::new();
    for of in 0..5 {
        runs.push(bench.start::<Backup>(of).await);
    }
    bench.pass().await;
    bench.orchestrator.cancel(runs[3].id(), "not needed").await.unwrap();
    assert_eq!(runs[3].status().await.unwrap(), Status::Cancelled);
    bench.orchestrator.cancel(runs[0].id(), "not needed").await.unwrap();
    bench.world.take();
    bench.pass().await;
    assert_eq!(bench.world.of("dump"), [2], "a cancelled run makes room as well");
    bench.until_all_ended().await;
    assert_eq!(bench.world.of("dump"), [4]);
}

async fn a_pause_keeps_what_the_run_has<R: Repository + Clone>(store: R) {
    let bench = Bench::new(store, |builder| builder.pipeline::<OfTenant>());
    let first = bench.start::<OfTenant>(1).await;
    bench.start::<OfTenant>(2).await;
    bench.pass().await;
    bench.orchestrator.pause(first.id()).await.unwrap();
    bench.pass_after(Duration::from_secs(60)).await;
    assert_eq!(bench.world.of("dump"), [1]);
    bench.orchestrator.resume(first.id()).await.unwrap();
    bench.until_all_ended().await;
    assert_eq!(bench.world.of("dump"), [2]);
}

async fn a_run_does_not_wait_for_what_one_above_it_has<R: Repository + Clone>(store: R) {
    let bench = Bench::new(store, |builder| builder.pipeline::<Tree>());
    let first = bench.start::<Tree>(3).await;
    let second = bench.start::<Tree>(1).await;
    bench.until_all_ended().await;
    assert_eq!(bench.world.of("descend"), [3, 2, 1, 0, 1, 0], "one tree after the other");
    assert_eq!((first.wait().await.unwrap(), second.wait().await.unwrap()), (4, 2));
}

async fn a_child_counts_for_the_tenant_of_its_parent<R: Repository + Clone>(store: R) {
    let bench = Bench::new(store, |builder| builder.pipeline::<Fleet>());
    for (tenant, of) in [("a", 10), ("b", 20)] {
        bench.orchestrator.start::<Fleet>(vec![of, of + 1]).metadata("tenant", tenant).await.unwrap();
    }
    bench.pass().await;
    bench.pass().await;
    let mut begun = bench.world.of("dump");
    begun.sort_unstable();
    assert_eq!(begun.iter().map(|of| of / 10).collect::<Vec<_>>(), [1, 2], "one of each");
    bench.until_all_ended().await;
    begun.extend(bench.world.of("dump"));
    begun.sort_unstable();
    assert_eq!(begun, [10, 11, 20, 21]);
}

on_both!(
    only_so_many_run_and_the_others_follow,
    a_run_that_waits_for_room_is_cancelled_at_once,
    a_pause_keeps_what_the_run_has,
    a_run_does_not_wait_for_what_one_above_it_has,
    a_child_counts_for_the_tenant_of_its_parent,
);
