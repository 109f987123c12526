//! Who holds a run may write, and nobody else: epoch and holder are compared.

use prorch_core::repository::{
    Answer, Epoch, Guard, Hold, Lease, Locator, RecordWrite, Repository, Status, Update,
};

use super::bench::{Bench, LEASE, NONE, applied, at, ended, id, new_run, position, record, request, worker};

pub async fn a_holder_writes_as_long_as_the_row_agrees<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    for stage in 0..3 {
        let update = held.writing([RecordWrite::New(record(stage, 0))]);
        assert_eq!(bench.update(update).await, applied(0));
    }
    let whole = bench.whole(1).await;
    assert_eq!(whole.records.len(), 3);
    assert_eq!(whole.run, held.stored.run, "an update that keeps the claim leaves the row alone");
}

pub async fn an_epoch_too_low_or_too_high_is_stale<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    let Epoch(epoch) = held.stored.run.epoch;
    for wrong in [epoch - 1, epoch + 1] {
        let guard = Guard::Held(Epoch(wrong), held.holder);
        assert_eq!(bench.update(Update { guard, ..held.release(None) }).await, Answer::Stale, "{wrong}");
    }
    assert_eq!(bench.row(1).await, held.stored.run);
}

pub async fn another_holder_at_the_same_epoch_is_stale<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    let guard = Guard::Held(held.stored.run.epoch, worker(2));
    assert_eq!(bench.update(Update { guard, ..held.release(None) }).await, Answer::Stale);
    assert_eq!(bench.row(1).await, held.stored.run);
}

pub async fn a_release_ends_the_power_of_its_epoch<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    assert_eq!(bench.update(held.release(Some(at(90)))).await, applied(0));
    let before = bench.whole(1).await;
    for late in [held.keep(), held.renew(at(1)), held.release(Some(at(5)))] {
        assert_eq!(bench.update(late).await, Answer::Stale);
    }
    assert_eq!(bench.whole(1).await, before);
    assert_eq!((before.run.lease, before.run.due_at), (None, Some(at(90))));
}

pub async fn a_take_over_ends_the_power_of_the_last_holder<R: Repository>(bench: Bench<R>) {
    let first = bench.held(1).await;
    let second = bench.take(1, worker(2), at(31)).await;
    assert!(second.stored.run.epoch > first.stored.run.epoch);
    for late in [first.keep(), first.renew(at(31)), first.release(None)] {
        assert_eq!(bench.update(late).await, Answer::Stale);
    }
    assert_eq!(bench.update(second.release(None)).await, applied(0));
}

pub async fn a_second_claim_of_one_worker_ends_its_first<R: Repository>(bench: Bench<R>) {
    let first = bench.held(1).await;
    let second = bench.take(1, worker(1), at(31)).await;
    assert_eq!(bench.update(first.release(None)).await, Answer::Stale, "the same worker, an earlier claim");
    assert_eq!(bench.update(second.keep()).await, applied(0));
}

pub async fn a_lease_that_ran_out_is_still_held_until_somebody_takes_over<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    let late = Update { at: at(3_600), ..held.writing([RecordWrite::New(record(0, 0))]) };
    assert_eq!(bench.update(late).await, applied(0));
    assert!(bench.whole(1).await.records.contains_key(&position(0, 0)));
}

pub async fn a_renewal_moves_the_end_of_the_lease<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    assert_eq!(bench.update(held.renew(at(10))).await, applied(0));
    let row = bench.row(1).await;
    assert_eq!(row.lease, Some(Lease::new(worker(1), at(10), LEASE)));
    assert_eq!(row.epoch, held.stored.run.epoch, "a renewal is no new claim");
    assert_eq!(bench.claimed(&request(9, at(39))).await, NONE);
    assert_eq!(bench.claimed(&request(9, at(40))).await, [1]);
}

pub async fn a_locator_and_none_both_find_the_run<R: Repository>(bench: Bench<R>) {
    bench.save([new_run(1), new_run(2)]).await;
    let claims = bench.claim(&request(9, at(0))).await;
    assert_eq!(claims.len(), 2);
    for held in claims {
        let unknown = Update { locator: Locator(0), ..held.writing([RecordWrite::New(record(0, 0))]) };
        assert_eq!(bench.update(unknown).await, applied(0));
        let brought =
            Update { locator: held.stored.locator, ..held.writing([RecordWrite::New(record(1, 0))]) };
        assert_eq!(bench.update(brought).await, applied(0));
        assert_eq!(bench.whole(held.number()).await.records.len(), 2);
    }
}

pub async fn an_end_clears_the_lease_and_the_due_time<R: Repository>(bench: Bench<R>) {
    for (n, status) in (1..).zip([Status::Finished, Status::Failed, Status::Cancelled]) {
        let held = bench.held(n).await;
        let state = Some(ended(&held.stored.run, status));
        assert_eq!(bench.update(Update { state, ..held.keep() }).await, applied(0));
        let row = bench.row(n).await;
        assert_eq!((row.status(), row.lease, row.due_at), (status, None, None));
        assert_eq!(bench.update(held.keep()).await, Answer::Stale, "an end is a release");
    }
}

pub async fn an_update_of_a_missing_run_is_closed<R: Repository>(bench: Bench<R>) {
    bench.save([new_run(1)]).await;
    let release = Hold::Release { due_at: None, seen: 0 };
    for guard in [Guard::Held(Epoch(1), worker(1)), Guard::Idle(Epoch(0))] {
        let starts = vec![new_run(3)];
        let update = Update { starts, ..Update::new(id(2), guard, release, at(0)) };
        assert_eq!(bench.update(update).await, Answer::Closed, "{guard:?}");
    }
    assert_eq!(bench.get(3, prorch_core::repository::Part::Row).await, None, "nothing is started either");
}
