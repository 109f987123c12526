//! In which order runs are found, and how one goes on where a page ended.

use prorch_core::repository::{Cursor, Filter, NewRun, Order, Repository, RunState, Status};

use super::bench::{Bench, NONE, at, id, new_run, number};

/// Runs with priorities and due times of all kinds, and some that nothing but a message makes claimable.
async fn scene<R: Repository>(bench: &Bench<R>) {
    let run = |n, priority, due| NewRun { priority, due_at: at(due), ..new_run(n) };
    bench.save([run(5, 5, 30), run(2, 0, 90), run(4, 5, 20), run(1, 9, 10), run(3, 0, 90)]).await;
    bench.with_state(NewRun { priority: 0, ..new_run(6) }, |state| state.paused = true).await;
    let held = bench.held(7).await;
    bench.update(held.release(None)).await;
    // Held since the beginning: claimable when its lease ends, at 30.
    bench.held(8).await;
    bench.ended(9, Status::Finished).await;
}

pub async fn by_default_in_the_order_of_the_ids<R: Repository>(bench: Bench<R>) {
    scene(&bench).await;
    assert_eq!(bench.find(&Filter::all()).await, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

pub async fn by_urgency<R: Repository>(bench: Bench<R>) {
    scene(&bench).await;
    let filter = Filter { order: Order::Urgency, ..Filter::all() };
    // Among those of one priority what nothing makes claimable comes last.
    assert_eq!(bench.find(&filter).await, [2, 3, 6, 4, 5, 8, 7, 9, 1]);
    assert_eq!(bench.find(&filter.limit(3)).await, [2, 3, 6]);
}

pub async fn by_due_time<R: Repository>(bench: Bench<R>) {
    scene(&bench).await;
    let filter = Filter { order: Order::Due, ..Filter::all() };
    assert_eq!(bench.find(&filter).await, [1, 4, 5, 8, 2, 3, 6, 7, 9]);
    let page = bench.search(&filter.limit(2)).await;
    assert_eq!(page.runs.iter().map(|run| number(run.id)).collect::<Vec<_>>(), [1, 4]);
    assert_eq!(page.next, None, "only the order of the ids has a cursor");
}

pub async fn a_page_holds_a_hundred_unless_told_otherwise<R: Repository>(bench: Bench<R>) {
    bench.save((1..=150).map(new_run)).await;
    let page = bench.search(&Filter::all()).await;
    assert_eq!((page.runs.len(), page.next), (100, Some(Cursor(id(100)))));
    assert_eq!(bench.search(&Filter::all().limit(1_000)).await.runs.len(), 150);
}

/// Walks to the end in pages of seven, doing `between` between two pages.
async fn walk<R: Repository>(bench: &Bench<R>, filter: &Filter, between: impl AsyncFn()) -> Vec<u64> {
    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let page = bench.search(&filter.clone().limit(7).after(cursor)).await;
        assert!(page.runs.len() <= 7);
        seen.extend(page.runs.iter().map(|run| number(run.id)));
        cursor = page.next;
        if cursor.is_none() {
            return seen;
        }
        assert!(seen.len() < 1_000, "the walk does not end");
        between().await;
    }
}

pub async fn a_walk_by_cursor_sees_each_run_once<R: Repository>(bench: Bench<R>) {
    bench.save((1..=30).rev().map(new_run)).await;
    assert_eq!(walk(&bench, &Filter::all(), async || {}).await, Vec::from_iter(1..=30));
    for n in (3..=30).step_by(3) {
        let run = bench.take(n, super::bench::worker(1), at(0)).await;
        let state = RunState { paused: true, ..run.stored.run.state.clone() };
        let update = prorch_core::repository::Update { state: Some(state), ..run.release(None) };
        bench.update(update).await;
    }
    let pending = Filter::all().statuses([Status::Pending]);
    assert_eq!(walk(&bench, &pending, async || {}).await, Vec::from_iter((3..=30).step_by(3)));
}

pub async fn a_walk_is_not_disturbed_by_runs_that_are_added<R: Repository>(bench: Bench<R>) {
    bench.save((1..=20).map(|n| new_run(10 * n))).await;
    let added = std::cell::Cell::new(0);
    let seen = walk(&bench, &Filter::all(), async || {
        added.set(added.get() + 1);
        // One before what was seen, one after all.
        bench.save([new_run(added.get()), new_run(1_000 + added.get())]).await;
    })
    .await;
    let (late, early): (Vec<u64>, Vec<u64>) = seen.into_iter().partition(|n| *n > 1_000);
    assert_eq!(early, Vec::from_iter((1..=20).map(|n| 10 * n)));
    assert_eq!(late, Vec::from_iter((1..=added.get()).map(|n| 1_000 + n)));
}

pub async fn the_last_page_has_no_next<R: Repository>(bench: Bench<R>) {
    bench.save((1..=4).map(new_run)).await;
    let next = async |limit, after: Option<u64>| {
        bench.search(&Filter::all().limit(limit).after(after.map(|n| Cursor(id(n))))).await.next
    };
    assert_eq!(next(3, None).await, Some(Cursor(id(3))));
    assert_eq!(next(4, None).await, None, "just all of them");
    assert_eq!(next(2, Some(2)).await, None);
    assert_eq!(next(2, Some(4)).await, None);
    assert_eq!(bench.find(&Filter::all().after(Some(Cursor(id(4))))).await, NONE);
}

pub async fn the_total_counts_more_than_the_page<R: Repository>(bench: Bench<R>) {
    bench.save((1..=12).map(new_run)).await;
    bench.ended(13, Status::Finished).await;
    let active = Filter::active().limit(5);
    assert_eq!(bench.search(&active).await.total, None, "counting costs, and nobody asked");
    let page = bench.search(&active.clone().with_total()).await;
    assert_eq!((page.total, page.runs.len()), (Some(12), 5));
    let last = bench.search(&active.with_total().after(Some(Cursor(id(10))))).await;
    assert_eq!((last.total, last.runs.len()), (Some(12), 2), "all that match, wherever the page begins");
}
