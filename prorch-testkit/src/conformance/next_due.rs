//! When a claim could bring something.

use prorch_core::repository::{ClaimRequest, NewRun, Repository, Status};

use super::bench::{Bench, NONE, at, definition, new_run, request, worker};

fn due(n: u64, seconds: i64) -> NewRun {
    NewRun { due_at: at(seconds), ..new_run(n) }
}

pub async fn an_empty_store_waits_for_a_change<R: Repository>(bench: Bench<R>) {
    assert_eq!(bench.next_due(&request(9, at(0))).await, None);
    bench.ended(1, Status::Finished).await;
    bench.ended(2, Status::Failed).await;
    assert_eq!(bench.next_due(&request(9, at(0))).await, None, "nothing comes of what ended");
}

pub async fn it_is_the_earliest_due_time<R: Repository>(bench: Bench<R>) {
    bench
        .save([NewRun { priority: 0, ..due(1, 90) }, NewRun { priority: 9, ..due(2, 60) }, due(3, 75)])
        .await;
    assert_eq!(bench.next_due(&request(9, at(0))).await, Some(at(60)));
    assert_eq!(bench.claimed(&request(9, at(60))).await, [2]);
    assert_eq!(bench.next_due(&request(9, at(60))).await, Some(at(75)));
}

pub async fn after_an_empty_claim_it_lies_in_the_future<R: Repository>(bench: Bench<R>) {
    bench.save([NewRun { definition: definition("email", 1), ..due(1, -9) }]).await;
    bench.save([NewRun { definition: definition("backup", 2), ..due(2, -9) }]).await;
    bench.with_state(due(3, -9), |state| state.paused = true).await;
    bench.with_state(due(4, -9), |state| state.crashes = 5).await;
    bench.ended(5, Status::Cancelled).await;
    let request = request(9, at(10));
    assert_eq!(bench.claimed(&request).await, NONE);
    assert_eq!(bench.next_due(&request).await, None, "unknown, paused, suspect and ended runs don't count");
    bench.save([due(6, 11)]).await;
    assert_eq!(bench.claimed(&request).await, NONE);
    assert_eq!(bench.next_due(&request).await, Some(at(11)));
}

pub async fn a_held_run_counts_by_its_lease<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    bench.save([due(2, 100)]).await;
    assert_eq!(bench.next_due(&request(9, at(1))).await, Some(at(30)));
    bench.update(held.renew(at(10))).await;
    assert_eq!(bench.next_due(&request(9, at(11))).await, Some(at(40)));
    bench.update(held.release(Some(at(50)))).await;
    assert_eq!(bench.next_due(&request(9, at(11))).await, Some(at(50)));
}

pub async fn a_run_that_waits_for_a_message_does_not_count<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    bench.update(held.release(None)).await;
    assert_eq!(bench.next_due(&request(9, at(1))).await, None);
    bench.post(1, super::bench::signal_at(1, at(7))).await;
    assert_eq!(bench.next_due(&request(9, at(1))).await, Some(at(7)));
}

pub async fn a_suspect_counts_only_for_who_asks<R: Repository>(bench: Bench<R>) {
    bench.with_state(due(1, 20), |state| state.crashes = 2).await;
    bench.save([due(2, 30)]).await;
    let asks = |suspect| ClaimRequest { suspect, holder: worker(2), ..request(9, at(0)) };
    assert_eq!(bench.next_due(&asks(false)).await, Some(at(30)));
    assert_eq!(bench.next_due(&asks(true)).await, Some(at(20)));
}
