//! A call that got no answer is sent again: that is safe, also when the first one takes effect later.

use prorch_core::repository::{Answer, Lease, Part, RecordWrite, Repository, Status, StepRecord, Update};

use super::bench::{
    Bench, Held, LEASE, applied, at, id, message_id, new_run, position, post, record, signal, signal_at,
    worker,
};

pub async fn a_message_posted_twice_is_one<R: Repository>(bench: Bench<R>) {
    bench.save([new_run(1)]).await;
    assert_eq!(bench.post(1, signal(1)).await, applied(1));
    let before = bench.whole(1).await;
    assert_eq!(bench.post(1, signal_at(1, at(9))).await, applied(1));
    assert_eq!(bench.whole(1).await, before);
}

pub async fn a_message_twice_in_one_batch_is_one<R: Repository>(bench: Bench<R>) {
    let held = bench.held(2).await;
    bench.save([new_run(1)]).await;
    let rides = Update { posts: vec![post(1, signal(1)), post(1, signal(1))], ..held.keep() };
    let answers = bench.batch([Update::post(id(1), signal(1)), rides, Update::post(id(1), signal(1))]).await;
    assert_eq!(answers, [applied(1), applied(0), applied(1)]);
    let whole = bench.whole(1).await;
    assert_eq!((whole.untaken.len(), whole.run.inbox_seq), (1, 1));
}

pub async fn a_message_that_was_taken_is_recognised<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    bench.post(1, signal(1)).await;
    let taken = vec![message_id(1)];
    let release = prorch_core::repository::Hold::Release { due_at: None, seen: 1 };
    assert_eq!(bench.update(Update { taken, hold: release, ..held.keep() }).await, applied(1));
    let before = bench.whole(1).await;
    assert_eq!(before.run.due_at, None);
    assert_eq!(bench.post(1, signal(1)).await, applied(1));
    assert_eq!(bench.whole(1).await, before, "it is not put in again, and wakes nobody");
    // The mark survives whatever else is done with the run.
    let again = bench.take(1, worker(1), at(0)).await;
    assert_eq!(bench.update(again.release(None)).await, applied(1));
    assert_eq!(bench.post(1, signal(1)).await, applied(1));
    assert_eq!(bench.work(1).await.inbox, []);
}

pub async fn an_update_that_keeps_the_claim_can_be_sent_twice<R: Repository>(bench: Bench<R>) {
    bench.save([new_run(2)]).await;
    let held = bench.held(1).await;
    bench.post(1, signal(1)).await;
    bench.update(held.writing([RecordWrite::New(record(0, 0)), RecordWrite::New(record(0, 1))])).await;
    let ended = StepRecord { status: Status::Finished, output: Some("1".into()), ..record(0, 0) };
    let update = Update {
        records: vec![RecordWrite::Changed(ended), RecordWrite::New(record(1, 0))],
        removed: vec![position(0, 1)],
        taken: vec![message_id(1)],
        posts: vec![post(2, signal(2))],
        starts: vec![new_run(3)],
        ..held.keep()
    };
    assert_eq!(bench.update(update.clone()).await, applied(1));
    let before = (bench.whole(1).await, bench.whole(2).await, bench.whole(3).await);
    assert_eq!(bench.update(update).await, applied(1), "the holder is the same, and so are the rows");
    assert_eq!((bench.whole(1).await, bench.whole(2).await, bench.whole(3).await), before);
}

/// The holder of a run after an update of it was sent again and applied.
fn after_again(held: &Held) -> Held {
    let mut after = held.clone();
    after.stored.run.epoch = held.stored.run.epoch.next();
    after
}

pub async fn an_update_sent_again_applies_whether_the_first_did_or_not<R: Repository>(bench: Bench<R>) {
    for n in [1, 2] {
        let held = bench.held(n).await;
        let update = held.writing([RecordWrite::New(record(0, 0))]);
        if n == 1 {
            assert_eq!(bench.update(update.clone()).await, applied(0));
        }
        assert_eq!(bench.update(update.again()).await, applied(0));
        let whole = bench.whole(n).await;
        assert_eq!(whole.records.len(), 1);
        assert_eq!(whole.run, after_again(&held).stored.run, "the epoch rises, and nothing else changes");
        assert_eq!(bench.update(after_again(&held).keep()).await, applied(0));
    }
}

pub async fn a_late_copy_of_an_update_sent_again_undoes_nothing<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    let ended = |n| StepRecord { status: Status::Finished, output: Some("1".into()), ..record(n, 0) };
    let first = held.writing([RecordWrite::New(ended(0)), RecordWrite::New(record(1, 0))]);
    assert_eq!(bench.update(first.again()).await, applied(0));
    let after = after_again(&held);
    let second = after.writing([RecordWrite::Changed(ended(1)), RecordWrite::New(record(2, 0))]);
    assert_eq!(bench.update(second).await, applied(0));
    let before = bench.whole(1).await;
    for late in [first.clone(), first.again(), held.renew(at(9)), held.release(None)] {
        assert_eq!(bench.update(late).await, Answer::Stale);
        assert_eq!(bench.whole(1).await, before);
    }
}

pub async fn a_release_sent_again_ends_the_claim<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    assert_eq!(bench.update(held.release(Some(at(60))).again()).await, applied(0));
    let run = bench.row(1).await;
    assert_eq!((run.lease, run.due_at), (None, Some(at(60))));
    assert_eq!(bench.update(after_again(&held).keep()).await, Answer::Stale);
}

pub async fn a_release_sent_twice_is_stale_and_changes_nothing<R: Repository>(bench: Bench<R>) {
    bench.save([new_run(2)]).await;
    let held = bench.held(1).await;
    let release = Update {
        records: vec![RecordWrite::New(record(0, 0))],
        posts: vec![post(2, signal(2))],
        ..held.release(Some(at(60)))
    };
    assert_eq!(bench.update(release.clone()).await, applied(0));
    let before = (bench.whole(1).await, bench.whole(2).await);
    assert_eq!(bench.update(release).await, Answer::Stale);
    assert_eq!((bench.whole(1).await, bench.whole(2).await), before);
}

pub async fn a_claim_sent_twice_is_stale<R: Repository>(bench: Bench<R>) {
    bench.save([new_run(1)]).await;
    let claim = bench.row(1).await.claim(Lease::new(worker(1), at(0), LEASE), at(0));
    assert_eq!(bench.update(claim.clone()).await, applied(0));
    let before = bench.whole(1).await;
    assert_eq!(bench.update(claim).await, Answer::Stale);
    assert_eq!(bench.whole(1).await, before);
}

pub async fn a_run_started_twice_is_one<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    let start = Update { starts: vec![new_run(2)], ..held.keep() };
    assert_eq!(bench.update(start.clone()).await, applied(0));
    let child = bench.take(2, worker(2), at(0)).await;
    assert_eq!(bench.update(start).await, applied(0));
    assert_eq!(bench.get(2, Part::Row).await.map(|stored| stored.run), Some(child.stored.run));
}
