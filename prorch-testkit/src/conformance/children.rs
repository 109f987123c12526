//! Runs that are started by a record of another run, and what that run hears of them.

use prorch_core::repository::{
    Answer, Child, Filter, Hold, Mail, Message, NewRun, Parent, Part, RecordWrite, Repository, Run, Saved,
    Status, StepRecord, Text, Update,
};

use super::bench::{
    Bench, Held, applied, at, ended, id, message_id, new_run, position, post, record, request, signal, worker,
};

/// A run that the record of run `parent` at 0.`item` starts, under the key of its first generation.
fn child(n: u64, parent: u64, item: u32) -> NewRun {
    NewRun {
        key: Some(Text::from(format!("{parent}/0.{item}/0"))),
        parent: Some(Parent { run: id(parent), position: position(0, item) }),
        ..new_run(n)
    }
}

/// The update by which the run at hand ends like this, and says so to the others.
fn ending(held: &Held, status: Status, to: &[u64]) -> Update {
    let mail = Mail::Ended { position: position(0, 3), child: held.stored.run.id, status, reason: None };
    let message = |n| Message::new(message_id(held.number() * 1_000 + n), mail.clone(), at(7));
    let posts = to.iter().map(|n| post(*n, message(*n))).collect();
    let state = Some(ended(&held.stored.run, status));
    Update { state, posts, at: at(7), ..held.release(None) }
}

pub async fn a_parent_is_kept_to_the_letter<R: Repository>(bench: Bench<R>) {
    let far = Parent { run: id(u64::MAX), position: position(70_000, u32::MAX) };
    let near = Parent { run: id(2), position: position(0, 0) };
    let new = |n, parent| NewRun { parent, ..new_run(n) };
    let saved = bench.save([new(2, None), new(3, Some(near)), new(4, Some(far))]).await;
    assert_eq!(saved, [Saved::New; 3]);
    let held = bench.held(1).await;
    let starts = vec![new(5, None), new(6, Some(near)), new(7, Some(far))];
    assert_eq!(bench.update(Update { starts, ..held.keep() }).await, applied(0));
    for (n, parent) in
        [(2, None), (3, Some(near)), (4, Some(far)), (5, None), (6, Some(near)), (7, Some(far))]
    {
        assert_eq!(bench.row(n).await, Run::new(new(n, parent)));
        let held = bench.take(n, worker(2), at(0)).await;
        bench.update(ending(&held, Status::Finished, &[])).await;
        assert_eq!(bench.row(n).await.parent, parent, "run {n} keeps it to its end");
    }
}

pub async fn a_child_is_started_with_the_record_that_says_so<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    let waiting =
        StepRecord { child: Some(Child { run: id(2), generation: 0 }), due_at: None, ..record(0, 0) };
    let update = Update { starts: vec![child(2, 1, 0)], ..held.writing([RecordWrite::New(waiting.clone())]) };
    assert_eq!(bench.update(Update { hold: held.release(None).hold, ..update }).await, applied(0));
    assert_eq!(bench.row(2).await, Run::new(child(2, 1, 0)));
    assert_eq!(bench.work(1).await.records[&position(0, 0)], waiting);
    assert_eq!(bench.claimed(&request(9, at(1))).await, [2], "anybody may claim it, and its parent waits");
}

pub async fn what_is_sent_to_a_child_with_its_start_is_in_its_inbox<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    let cancel = Message::new(message_id(1), Mail::Cancel { reason: Text::from("enough") }, at(7));
    let update = Update { starts: vec![child(2, 1, 0)], posts: vec![post(2, cancel.clone())], ..held.keep() };
    assert_eq!(bench.update(update).await, applied(0));
    assert_eq!(bench.work(2).await.inbox, [Message { seq: 1, ..cancel }]);
}

pub async fn a_key_that_is_taken_starts_no_second_child<R: Repository>(bench: Bench<R>) {
    let first = bench.held(1).await;
    let start = |held: &Held, n| Update { starts: vec![child(n, 1, 0)], ..held.keep() };
    assert_eq!(bench.update(start(&first, 2)).await, applied(0));
    let before = bench.whole(2).await;
    assert_eq!(bench.update(start(&first, 3)).await, applied(0), "by the same worker");
    let second = bench.take(1, worker(2), at(60)).await;
    assert_eq!(bench.update(start(&second, 4)).await, applied(0), "by the one that took over");
    assert_eq!(bench.update(start(&first, 5)).await, Answer::Stale);
    let other = Update { starts: vec![child(6, 1, 1)], ..first.keep() };
    assert_eq!(bench.update(other).await, Answer::Stale, "also under a key that is free");
    for n in 3..=6 {
        assert_eq!(bench.get(n, Part::Row).await, None, "run {n}");
    }
    assert_eq!(bench.whole(2).await, before);
}

pub async fn the_end_of_a_child_wakes_an_idle_parent<R: Repository>(bench: Bench<R>) {
    for (n, due_at) in [(1, None), (2, Some(at(500)))] {
        let parent = bench.held(n).await;
        bench.update(parent.release(due_at)).await;
        let held = bench.held(n + 10).await;
        assert_eq!(bench.update(ending(&held, Status::Finished, &[n])).await, applied(0));
        assert_eq!(bench.row(n + 10).await.status(), Status::Finished);
        assert_eq!(bench.row(n).await.due_at, Some(at(7)));
        let claims = bench.claim(&request(9, at(7))).await;
        let mail = Mail::Ended {
            position: position(0, 3),
            child: id(n + 10),
            status: Status::Finished,
            reason: None,
        };
        assert_eq!(claims.len(), 1);
        assert_eq!(claims[0].stored.inbox.iter().map(|message| &message.mail).collect::<Vec<_>>(), [&mail]);
        bench.update(Update { taken: vec![claims[0].stored.inbox[0].id], ..claims[0].release(None) }).await;
    }
}

pub async fn a_held_parent_hears_it_with_its_next_answer<R: Repository>(bench: Bench<R>) {
    let parent = bench.held(1).await;
    let until = bench.row(1).await.due_at;
    for n in [2, 3] {
        let held = bench.held(n).await;
        assert_eq!(bench.update(ending(&held, Status::Failed, &[1])).await, applied(0));
        assert_eq!(bench.row(1).await.due_at, until, "it stays with who holds it");
    }
    assert_eq!(bench.update(parent.keep()).await, applied(2));
    let hold = Hold::Release { due_at: None, seen: 1 };
    assert_eq!(bench.update(Update { hold, at: at(9), ..parent.keep() }).await, applied(2));
    assert_eq!(bench.row(1).await.due_at, Some(at(9)), "one was not seen");
}

pub async fn a_parent_that_ended_hears_nothing<R: Repository>(bench: Bench<R>) {
    for (n, status) in (1..).zip([Status::Finished, Status::Failed, Status::Cancelled]) {
        let parent = bench.ended(n, status).await;
        let held = bench.held(n + 10).await;
        assert_eq!(bench.update(ending(&held, Status::Finished, &[n, 99])).await, applied(0));
        assert_eq!(bench.row(n + 10).await.status(), Status::Finished, "its end is stored all the same");
        let work = bench.work(n).await;
        assert_eq!((work.run, work.inbox), (parent, Vec::new()));
    }
}

pub async fn a_late_end_tells_nobody<R: Repository>(bench: Bench<R>) {
    let late = bench.held(2).await;
    bench.save([new_run(1)]).await;
    bench.take(2, worker(2), at(60)).await;
    let before = (bench.whole(1).await, bench.whole(2).await);
    assert_eq!(bench.update(ending(&late, Status::Finished, &[1])).await, Answer::Stale);
    assert_eq!((bench.whole(1).await, bench.whole(2).await), before);
}

pub async fn an_end_that_is_told_twice_is_heard_once<R: Repository>(bench: Bench<R>) {
    let parent = bench.held(1).await;
    let held = bench.held(2).await;
    let end = ending(&held, Status::Finished, &[1]);
    assert_eq!(bench.update(end.clone()).await, applied(0));
    assert_eq!(bench.update(end.clone()).await, Answer::Stale);
    let told = end.posts[0].message.clone();
    bench.update(Update { taken: vec![told.id], ..parent.keep() }).await;
    assert_eq!(bench.post(1, told).await, applied(1), "also when it was taken meanwhile");
    assert_eq!(bench.work(1).await.inbox, []);
    assert_eq!(bench.post(1, signal(5)).await, applied(2));
}

pub async fn a_thousand_children_in_one_update<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    let starts = (0..1_000).map(|item| child(u64::from(item) + 2, 1, item)).collect();
    assert_eq!(bench.update(Update { starts, ..held.release(None) }).await, applied(0));
    for item in [0, 500, 999] {
        assert_eq!(bench.row(u64::from(item) + 2).await, Run::new(child(u64::from(item) + 2, 1, item)));
    }
    let all = Filter { limit: 2_000, ..Filter::all() };
    assert_eq!(bench.find(&all).await.len(), 1_001);
    assert_eq!(bench.claim(&request(9, at(1))).await.len(), 9);
}
