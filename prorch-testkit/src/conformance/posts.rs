//! What a post does to the run that it is for, and to the update that carries it.

use prorch_core::repository::{
    Answer, Hold, Mail, Message, NewRun, Repository, RunState, Status, Text, Update,
};

use super::bench::{Bench, applied, at, message_id, new_run, post, signal, signal_at};

/// An idle run that is due at the given time.
async fn idle<R: Repository>(bench: &Bench<R>, n: u64, due_at: Option<prorch_core::repository::Timestamp>) {
    let held = bench.held(n).await;
    assert_eq!(bench.update(held.release(due_at)).await, applied(0));
}

pub async fn it_wakes_an_idle_run<R: Repository>(bench: Bench<R>) {
    for (n, due_at) in [(1, None), (2, Some(at(500)))] {
        idle(&bench, n, due_at).await;
        assert_eq!(bench.post(n, signal_at(n, at(7))).await, applied(1));
        let row = bench.row(n).await;
        assert_eq!((row.due_at, row.inbox_seq), (Some(at(7)), 1), "run {n}");
    }
}

pub async fn it_leaves_an_earlier_due_time<R: Repository>(bench: Bench<R>) {
    bench.save([NewRun { due_at: at(3), ..new_run(1) }]).await;
    bench.post(1, signal_at(1, at(7))).await;
    assert_eq!(bench.row(1).await.due_at, Some(at(3)));
}

pub async fn a_signal_does_not_wake_a_run_that_was_not_begun<R: Repository>(bench: Bench<R>) {
    bench.save([1, 2].map(|n| NewRun { due_at: at(60), ..new_run(n) })).await;
    assert_eq!(bench.post(1, signal_at(1, at(7))).await, applied(1));
    assert_eq!(bench.row(1).await.due_at, Some(at(60)), "it is to begin later");
    let cancel = Message::new(message_id(2), Mail::Cancel { reason: Text::from("enough") }, at(7));
    assert_eq!(bench.post(2, cancel).await, applied(1));
    assert_eq!(bench.row(2).await.due_at, Some(at(7)));
}

pub async fn a_cancel_or_a_resume_lifts_the_pause_of_an_idle_run<R: Repository>(bench: Bench<R>) {
    let cancel = Mail::Cancel { reason: Text::from("enough") };
    let said = [(Mail::Pause, true), (Mail::Resume, false), (cancel, false)];
    for (n, (mail, is_paused)) in (1..).zip(said) {
        let held = bench.held(n).await;
        let state = Some(RunState { paused: true, ..held.stored.run.state.clone() });
        assert_eq!(bench.update(Update { state, ..held.release(None) }).await, applied(0));
        assert_eq!(bench.post(n, signal_at(n, at(6))).await, applied(1));
        assert!(bench.row(n).await.state.paused, "a signal waits until it is resumed");
        assert_eq!(bench.post(n, Message::new(message_id(10 + n), mail, at(7))).await, applied(2));
        let row = bench.row(n).await;
        assert_eq!((row.state.paused, row.is_due(at(7))), (is_paused, !is_paused), "run {n}");
    }
}

pub async fn it_does_not_touch_a_held_run<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    assert_eq!(bench.post(1, signal_at(1, at(7))).await, applied(1));
    let mut expected = held.stored.run.clone();
    expected.inbox_seq = 1;
    assert_eq!(bench.row(1).await, expected);
}

pub async fn one_to_a_run_that_ended_is_closed<R: Repository>(bench: Bench<R>) {
    for (n, status) in (1..).zip([Status::Finished, Status::Failed, Status::Cancelled]) {
        let run = bench.ended(n, status).await;
        assert_eq!(bench.post(n, signal(n)).await, Answer::Closed);
        let work = bench.work(n).await;
        assert_eq!((work.run, work.inbox.len()), (run, 0));
    }
}

pub async fn one_to_a_run_that_is_missing_is_closed<R: Repository>(bench: Bench<R>) {
    assert_eq!(bench.post(1, signal(1)).await, Answer::Closed);
    bench.save([new_run(1)]).await;
    assert_eq!(bench.work(1).await.inbox, [], "it is not kept for later");
}

pub async fn one_that_rides_reaches_the_other_run<R: Repository>(bench: Bench<R>) {
    idle(&bench, 2, None).await;
    bench.held(3).await;
    let held = bench.held(1).await;
    let posts =
        vec![post(2, signal_at(1, at(7))), post(3, signal_at(2, at(7))), post(2, signal_at(3, at(8)))];
    assert_eq!(bench.update(Update { posts, ..held.release(None) }).await, applied(0));
    let (idle, busy) = (bench.work(2).await, bench.work(3).await);
    assert_eq!((idle.run.due_at, idle.run.inbox_seq), (Some(at(7)), 2));
    let seqs: Vec<_> = idle.inbox.iter().map(|message| message.seq).collect();
    assert_eq!(seqs, [1, 2]);
    assert_eq!((busy.run.due_at, busy.run.inbox_seq), (busy.run.lease.map(|lease| lease.until), 1));
    assert_eq!(bench.row(1).await.inbox_seq, 0);
}

pub async fn one_that_rides_to_a_run_that_ended_is_dropped<R: Repository>(bench: Bench<R>) {
    let finished = bench.ended(2, Status::Finished).await;
    let held = bench.held(1).await;
    let posts = vec![post(2, signal(1))];
    assert_eq!(bench.update(Update { posts, ..held.release(Some(at(60))) }).await, applied(0));
    assert_eq!(bench.row(1).await.due_at, Some(at(60)), "the update that carried it is applied");
    let work = bench.work(2).await;
    assert_eq!((work.run, work.inbox.len()), (finished, 0));
}

pub async fn one_that_rides_to_a_missing_run_is_dropped<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    let posts = vec![post(99, signal(1))];
    assert_eq!(bench.update(Update { posts, ..held.release(Some(at(60))) }).await, applied(0));
    assert_eq!(bench.row(1).await.due_at, Some(at(60)));
}

pub async fn one_to_the_own_run_wakes_it_after_the_release<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    let posts = vec![post(1, signal(1))];
    assert_eq!(bench.update(Update { posts, at: at(7), ..held.release(None) }).await, applied(1));
    let work = bench.work(1).await;
    assert_eq!((work.run.due_at, work.inbox.len()), (Some(at(7)), 1));
    let held = bench.held(2).await;
    let hold = Hold::Release { due_at: None, seen: 1 };
    let posts = vec![post(2, signal(2))];
    assert_eq!(bench.update(Update { posts, hold, ..held.keep() }).await, applied(1));
    assert_eq!(bench.row(2).await.due_at, None, "a release that counted it in");
}
