//! A change to a run that nobody holds: one compare-and-set.

use prorch_core::repository::{
    Answer, Epoch, Guard, Hold, Lease, Repository, Run, RunState, Status, Timestamp, Update,
};

use super::bench::{Bench, LEASE, applied, at, new_run, worker};

/// Pauses the run as it was read.
fn pause(run: &Run, now: Timestamp) -> Update {
    let state = Some(RunState { paused: true, ..run.state.clone() });
    let hold = Hold::Release { due_at: Some(at(70)), seen: run.inbox_seq };
    Update { state, ..Update::new(run.id, Guard::Idle(run.epoch), hold, now) }
}

pub async fn it_applies_to_a_run_that_nobody_holds_and_raises_the_epoch<R: Repository>(bench: Bench<R>) {
    bench.save([new_run(1)]).await;
    let read = bench.row(1).await;
    assert_eq!(bench.update(pause(&read, at(0))).await, applied(0));
    let row = bench.row(1).await;
    assert!(row.state.paused);
    assert_eq!((row.epoch, row.due_at, row.lease), (read.epoch.next(), Some(at(70)), None));
}

pub async fn it_is_stale_at_another_epoch<R: Repository>(bench: Bench<R>) {
    bench.save([new_run(1)]).await;
    let first = bench.row(1).await;
    assert_eq!(bench.update(pause(&first, at(0))).await, applied(0));
    let before = bench.whole(1).await;
    assert_eq!(bench.update(pause(&first, at(0))).await, Answer::Stale, "it changed since it was read");
    let ahead = Run { epoch: Epoch(before.run.epoch.0 + 1), ..before.run.clone() };
    assert_eq!(bench.update(pause(&ahead, at(0))).await, Answer::Stale);
    assert_eq!(bench.whole(1).await, before);
}

pub async fn it_is_stale_while_a_lease_is_live<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    let last = Timestamp::from_micros(at(30).as_micros() - 1);
    for now in [at(0), at(15), last] {
        assert_eq!(bench.update(pause(&held.stored.run, now)).await, Answer::Stale, "{now}");
        let claim = held.stored.run.claim(Lease::new(worker(2), now, LEASE), now);
        assert_eq!(bench.update(claim).await, Answer::Stale, "{now}");
    }
    assert_eq!(bench.row(1).await, held.stored.run);
}

pub async fn it_applies_from_the_moment_the_lease_ends<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    assert_eq!(bench.update(pause(&held.stored.run, at(30))).await, applied(0));
    assert_eq!(bench.update(held.keep()).await, Answer::Stale);
}

pub async fn a_lease_of_a_foreign_clock_does_not_count<R: Repository>(bench: Bench<R>) {
    let ahead = |n, seconds| (n, at(seconds));
    // Held by a worker whose clock is ahead: a lease that ends later than twice its length from now is no lease.
    for (n, its_time) in [ahead(1, 3_600), ahead(2, 31), ahead(3, 30)] {
        bench.save([new_run(n)]).await;
        let held = bench.take(n, worker(2), its_time).await;
        let counts = its_time <= at(30);
        let expected = if counts { Answer::Stale } else { applied(0) };
        assert_eq!(bench.update(pause(&held.stored.run, at(0))).await, expected, "run {n}, {its_time}");
    }
}

pub async fn it_leaves_the_lease_when_it_keeps<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    let update = Update { hold: Hold::Keep, ..pause(&held.stored.run, at(31)) };
    assert_eq!(bench.update(update).await, applied(0));
    let row = bench.row(1).await;
    assert_eq!((row.lease, row.due_at), (held.stored.run.lease, held.stored.run.due_at));
    assert_eq!(bench.update(held.keep()).await, Answer::Stale, "the epoch rose");
}

pub async fn one_that_ended_is_reopened_and_its_last_holder_stays_out<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    let state = Some(super::bench::ended(&held.stored.run, Status::Failed));
    assert_eq!(bench.update(Update { state, ..held.release(None) }).await, applied(0));
    let failed = bench.row(1).await;
    let state =
        Some(RunState { status: Status::Pending, cause: None, ended_at: None, ..failed.state.clone() });
    let hold = Hold::Release { due_at: Some(at(5)), seen: failed.inbox_seq };
    let retry = Update { state, ..Update::new(failed.id, Guard::Idle(failed.epoch), hold, at(5)) };
    assert_eq!(bench.update(retry).await, applied(0));
    let row = bench.row(1).await;
    assert_eq!((row.status(), row.due_at, row.state.cause), (Status::Pending, Some(at(5)), None));
    assert!(row.epoch > failed.epoch, "every way out of an end raises the epoch");
    assert_eq!(bench.update(held.keep()).await, Answer::Stale);
}
