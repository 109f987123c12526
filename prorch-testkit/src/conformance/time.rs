//! Times are kept to the microsecond, and a back end has no clock of its own.

use std::time::Duration;

use prorch_core::repository::{
    ClaimRequest, Filter, NewRun, Order, RecordWrite, Repository, StepRecord, Timestamp,
};

use super::bench::{Bench, NONE, applied, at, new_run, position, record, request, worker};

async fn assert_kept<R: Repository>(bench: &Bench<R>, n: u64, time: Timestamp) {
    bench.save([NewRun { created_at: time, due_at: time, ..new_run(n) }]).await;
    let row = bench.row(n).await;
    assert_eq!((row.created_at, row.due_at), (time, Some(time)));
    let held = bench.take(n, worker(1), at(0)).await;
    let some = Some(time);
    let record = StepRecord { due_at: some, entered_at: time, ended_at: some, ..record(0, 0) };
    assert_eq!(bench.update(held.writing([RecordWrite::New(record.clone())])).await, applied(0));
    assert_eq!(bench.whole(n).await.records[&position(0, 0)], record);
    bench.update(held.release(some)).await;
    assert_eq!(bench.row(n).await.due_at, some);
}

pub async fn microseconds_are_kept<R: Repository>(bench: Bench<R>) {
    assert_kept(&bench, 1, Timestamp::from_micros(1_800_000_000_123_457)).await;
    let due = Timestamp::from_micros(1_800_000_000_123_457);
    let before = Timestamp::from_micros(1_800_000_000_123_456);
    assert_eq!(bench.claimed(&request(9, before)).await, NONE);
    assert_eq!(bench.claimed(&request(9, due)).await, [1]);
}

pub async fn times_before_1970_are_kept_and_sorted<R: Repository>(bench: Bench<R>) {
    assert_kept(&bench, 1, Timestamp::from_micros(-1)).await;
    assert_kept(&bench, 2, Timestamp::from_micros(0)).await;
    assert_kept(&bench, 3, Timestamp::from_micros(-10_000_000_000_000_001)).await;
    let by_due = Filter { order: Order::Due, ..Filter::all() };
    assert_eq!(bench.find(&by_due).await, [3, 1, 2]);
    assert_eq!(bench.claimed(&request(9, Timestamp::from_micros(-1))).await, [1, 3]);
}

pub async fn the_far_future_is_kept<R: Repository>(bench: Bench<R>) {
    let millennium = at(0) + Duration::from_secs(1_000 * 366 * 86_400);
    assert_kept(&bench, 1, millennium).await;
    assert_kept(&bench, 2, Timestamp::MAX).await;
    assert_eq!(bench.claimed(&request(9, at(0))).await, NONE);
    assert_eq!(bench.next_due(&request(9, at(0))).await, Some(millennium));
    assert_eq!(bench.claimed(&request(9, millennium)).await, [1]);
}

pub async fn a_lease_without_end_does_not_overflow<R: Repository>(bench: Bench<R>) {
    bench.save([new_run(1)]).await;
    let long = Duration::from_micros(i64::MAX.unsigned_abs());
    let request = ClaimRequest { lease: long, ..request(9, at(0)) };
    let claims = bench.claim(&request).await;
    let lease = claims[0].stored.run.lease.expect("it is held");
    assert_eq!((lease.until, lease.length), (Timestamp::MAX, long));
    assert_eq!(bench.row(1).await.lease, Some(lease));
    assert_eq!(bench.claimed(&ClaimRequest { holder: worker(2), now: at(9), ..request }).await, NONE);
    assert_eq!(bench.update(claims[0].keep()).await, applied(0));
}
