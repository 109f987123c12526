//! What a retention looks for: the runs that ended first, and what comes from them.

use prorch_core::repository::{
    Cursor, Filter, NewRun, Order, Origin, Parent, Repository, RunState, Status, Text, Timestamp, Update,
};

use super::bench::{Bench, NONE, applied, at, definition, ended, id, new_run, number, position, worker};

/// A run that ended at this time.
async fn ended_at<R: Repository>(bench: &Bench<R>, new: NewRun, status: Status, now: Timestamp) {
    let n = number(new.id);
    bench.save([new]).await;
    let held = bench.take(n, worker(1), at(0)).await;
    let state = RunState { ended_at: Some(now), ..ended(&held.stored.run, status) };
    assert_eq!(bench.update(Update { state: Some(state), ..held.release(None) }).await, applied(0));
}

fn child_of(parent: u64, new: NewRun) -> NewRun {
    NewRun { parent: Some(Parent { run: id(parent), position: position(0, 0) }), ..new }
}

/// Those that ended before this time and that no other run started, the first one first.
fn before(seconds: i64) -> Filter {
    let ended_before = Some(at(seconds));
    Filter { child: Some(false), ended_before, order: Order::Ended, ..Filter::all() }
}

pub async fn those_that_ended_first_come_first<R: Repository>(bench: Bench<R>) {
    use Status::{Cancelled, Failed, Finished};
    let other = |n| NewRun { definition: definition("email", 1), ..new_run(n) };
    let newer = |n| NewRun { definition: definition("backup", 2), ..new_run(n) };
    ended_at(&bench, new_run(1), Finished, at(50)).await;
    ended_at(&bench, other(2), Failed, at(20)).await;
    ended_at(&bench, newer(3), Cancelled, at(40)).await;
    ended_at(&bench, new_run(4), Failed, at(10)).await;
    ended_at(&bench, other(5), Finished, at(30)).await;
    ended_at(&bench, child_of(1, new_run(6)), Finished, at(5)).await;
    bench.save([new_run(7)]).await;
    assert_eq!(bench.find(&before(1_000)).await, [4, 2, 5, 3, 1]);
    assert_eq!(bench.find(&before(40)).await, [4, 2, 5], "before, not at");
    assert_eq!(bench.find(&before(1_000).statuses([Failed])).await, [4, 2]);
    assert_eq!(bench.find(&before(1_000).statuses([Finished, Cancelled])).await, [5, 3, 1]);
    assert_eq!(bench.find(&before(1_000).pipeline("backup")).await, [4, 3, 1]);
    assert_eq!(bench.find(&before(1_000).pipeline("unknown")).await, NONE);
    assert_eq!(bench.find(&before(1_000).limit(2)).await, [4, 2]);
    let children = Filter { child: Some(true), ..Filter::all() };
    assert_eq!(bench.find(&children).await, [6]);
    let by_end = Filter { order: Order::Ended, ..Filter::all() };
    assert_eq!(bench.find(&by_end).await, [6, 4, 2, 5, 3, 1, 7], "what has not ended comes last");
}

pub async fn pages_by_end_go_on_behind_the_last<R: Repository>(bench: Bench<R>) {
    for n in 1..=9 {
        let pipeline = if n % 2 == 0 { "email" } else { "backup" };
        let new = NewRun { definition: definition(pipeline, 1), ..new_run(n) };
        let status = if n % 3 == 0 { Status::Failed } else { Status::Finished };
        ended_at(&bench, new, status, at(if n < 6 { 10 } else { 20 })).await;
    }
    for limit in 1..=10 {
        let (mut found, mut filter) = (Vec::new(), before(1_000).limit(limit));
        loop {
            let page = bench.search(&filter).await.runs;
            found.extend(page.iter().map(|run| number(run.id)));
            let Some(last) = page.last() else { break };
            (filter.ended_from, filter.after) = (last.state.ended_at, Some(Cursor(last.id)));
        }
        assert_eq!(found, [1, 2, 3, 4, 5, 6, 7, 8, 9], "pages of {limit}");
    }
    let twenty = Filter { ended_from: Some(at(20)), ..before(1_000) };
    assert_eq!(bench.find(&twenty).await, [6, 7, 8, 9]);
}

pub async fn children_and_restarted_runs_are_found_by_where_they_come_from<R: Repository>(bench: Bench<R>) {
    let from = |old, n| NewRun { origin: Some(Origin { run: id(old), step: Text::from("a") }), ..new_run(n) };
    bench.save([new_run(1), new_run(2), new_run(3)]).await;
    bench.save([child_of(1, new_run(5)), child_of(1, new_run(4)), child_of(2, new_run(6))]).await;
    bench.save([from(1, 7), from(3, 8)]).await;
    let parents = |runs: &[u64]| Filter { parents: runs.iter().map(|n| id(*n)).collect(), ..Filter::all() };
    assert_eq!(bench.find(&parents(&[1])).await, [4, 5]);
    assert_eq!(bench.find(&parents(&[2, 1, 9])).await, [4, 5, 6]);
    assert_eq!(bench.find(&parents(&[3])).await, NONE);
    assert_eq!(bench.find(&parents(&[1, 2]).limit(2)).await, [4, 5]);
    let after = Filter { after: Some(Cursor(id(5))), ..parents(&[1, 2]) };
    assert_eq!(bench.find(&after).await, [6]);
    let origins = |runs: &[u64]| Filter { origins: runs.iter().map(|n| id(*n)).collect(), ..Filter::all() };
    assert_eq!(bench.find(&origins(&[1, 2])).await, [7]);
    assert_eq!(bench.find(&origins(&[1, 3])).await, [7, 8]);
}
