//! Runs that are inserted with records: those that another run has finished, and those of the stage that they begin at.

use prorch_core::repository::{
    Fan, Filter, NewRun, Origin, Part, Position, RecordWrite, Repository, Run, Saved, Status, StepRecord,
    StoredRun, Text, Timestamp,
};

use super::bench::{Bench, NONE, applied, at, id, new_run, position, record, request, worker};

fn done(stage: u32, item: u32) -> StepRecord {
    StepRecord {
        status: Status::Finished,
        state: Some(Text::from(format!("{{\"asked\":{item}}}"))),
        output: Some(Text::from(format!("\"{stage}.{item}\""))),
        metadata: [("who".to_owned(), serde_json::json!("me"))].into(),
        attempt: 3,
        due_at: None,
        ended_at: Some(Timestamp::from_micros(-1)),
        ..record(stage, item)
    }
}

/// A run that comes from run `old`, with these records.
fn restarted(n: u64, old: u64, fan: Option<Fan>, records: impl IntoIterator<Item = StepRecord>) -> NewRun {
    let origin = Some(Origin { run: id(old), step: Text::from("step \u{e9}") });
    NewRun { origin, fan, records: records.into_iter().collect(), ..new_run(n) }
}

/// With the records 0.0, 1.0, 1.1 of what has finished, and 2.0 where it begins.
fn plain(n: u64) -> NewRun {
    restarted(n, 77, None, [done(0, 0), done(1, 0), done(1, 1), record(2, 0)])
}

fn places(stored: &StoredRun) -> Vec<(u32, u32)> {
    stored.records.keys().map(|at| (at.stage, at.item)).collect()
}

pub async fn it_is_inserted_with_its_records_and_where_it_comes_from<R: Repository>(bench: Bench<R>) {
    assert_eq!(bench.save([plain(1), new_run(2)]).await, [Saved::New; 2]);
    let whole = bench.whole(1).await;
    assert_eq!(whole.run, Run::new(plain(1)));
    assert!(whole.records.values().eq(&plain(1).records), "{:?}", whole.records);
    assert_eq!(bench.get(1, Part::Row).await.map(|stored| stored.run), Some(Run::new(plain(1))));
    let part = Part::Records { from: position(1, 1), limit: 1 };
    assert_eq!(places(&bench.get(1, part).await.expect("the run is there")), [(1, 1)]);
    assert!(bench.whole(2).await.records.is_empty(), "the one beside it has none");
}

pub async fn it_is_claimed_where_it_begins<R: Repository>(bench: Bench<R>) {
    bench.save([plain(1)]).await;
    let read = bench.work(1).await;
    assert_eq!(places(&read), [(1, 0), (1, 1), (2, 0)]);
    let claims = bench.claim(&request(9, at(0))).await;
    assert_eq!(claims.len(), 1);
    assert_eq!(claims[0].stored.records, read.records);
    assert_eq!(claims[0].stored.run.status(), Status::Pending);
    let end = StepRecord { status: Status::Finished, ..record(2, 0) };
    assert_eq!(bench.update(claims[0].writing([RecordWrite::Changed(end.clone())])).await, applied(0));
    let whole = bench.whole(1).await;
    assert_eq!(whole.records[&position(2, 0)], end);
    assert_eq!(whole.records.len(), 4, "what was taken over stays");
    assert_eq!(whole.run.origin, plain(1).origin, "and where it comes from");
}

pub async fn it_may_begin_at_a_stage_with_several_members<R: Repository>(bench: Bench<R>) {
    let list = Fan { stage: 2, width: None, entered: 0, finished: 0, low: 0 };
    let before = (0..12).map(|item| done(1, item));
    bench.save([restarted(1, 77, Some(list), [done(0, 0)].into_iter().chain(before))]).await;
    let group = Fan { stage: 1, width: Some(2), entered: 2, finished: 0, low: 0 };
    bench.save([restarted(2, 77, Some(group), [done(0, 0), record(1, 0), record(1, 1)])]).await;
    let first = Fan { stage: 1, width: None, entered: 0, finished: 0, low: 0 };
    bench.save([restarted(3, 77, Some(first), [])]).await;
    let eight: Vec<_> = (0..8).map(|item| (1, item)).collect();
    let expected = [(1, list, eight), (2, group, vec![(0, 0), (1, 0), (1, 1)]), (3, first, vec![])];
    for (n, fan, work) in expected {
        let read = bench.work(n).await;
        assert_eq!((read.run.state.fan, places(&read)), (Some(fan), work.clone()), "run {n}");
        let held = bench.take(n, worker(1), at(0)).await;
        assert_eq!((held.stored.run.state.fan, places(&held.stored)), (Some(fan), work), "run {n}, held");
    }
}

pub async fn where_an_id_or_a_key_is_known_no_record_is_inserted<R: Repository>(bench: Bench<R>) {
    let key = Some(Text::from("k"));
    bench.save([NewRun { key: key.clone(), ..plain(1) }, new_run(2)]).await;
    let (first, second) = (bench.whole(1).await, bench.whole(2).await);
    let other = [done(0, 5), record(3, 0)];
    let saved = bench
        .save([
            restarted(1, 66, None, other.clone()),
            restarted(2, 66, None, other.clone()),
            NewRun { key, ..restarted(3, 66, None, other) },
        ])
        .await;
    assert_eq!(saved, [Saved::Known(id(1)), Saved::Known(id(2)), Saved::Known(id(1))]);
    assert_eq!((bench.whole(1).await, bench.whole(2).await), (first, second));
    assert_eq!(bench.get(3, Part::Row).await, None);
    bench.save([new_run(4)]).await;
    assert!(bench.whole(4).await.records.is_empty(), "nor for the one that comes next");
}

pub async fn ten_thousand_records_come_with_one_run<R: Repository>(bench: Bench<R>) {
    let fan = Fan { stage: 1, width: Some(2), entered: 2, finished: 0, low: 0 };
    let records = (0..10_000).map(|item| done(0, item)).chain([record(1, 0), record(1, 1)]);
    let new = restarted(1, 77, Some(fan), records);
    assert_eq!(bench.save([new.clone()]).await, [Saved::New]);
    let mut from = Position::default();
    let mut seen = Vec::new();
    loop {
        let page =
            bench.get(1, Part::Records { from, limit: 4_000 }).await.expect("the run is there").records;
        let Some(last) = page.keys().next_back() else { break };
        from = Position { item: last.item + 1, ..*last };
        seen.extend(page.into_values());
    }
    assert_eq!(seen.len(), 10_002);
    assert!(seen == new.records, "each as it was given");
}

pub async fn it_is_found_by_where_it_comes_from<R: Repository>(bench: Bench<R>) {
    let (one, two) = (restarted(3, 1, None, []), restarted(4, 2, None, [done(0, 0), record(1, 0)]));
    bench.save([new_run(1), new_run(2), one, two, restarted(5, 1, None, [])]).await;
    let from = |n| Filter::all().restarted_from(id(n));
    assert_eq!(bench.find(&from(1)).await, [3, 5]);
    assert_eq!(bench.find(&from(2)).await, [4]);
    assert_eq!(bench.find(&from(3)).await, NONE);
    assert_eq!(bench.find(&from(1).limit(1)).await, [3]);
    assert_eq!(bench.find(&from(1).statuses([Status::Failed])).await, NONE);
    assert_eq!(bench.search(&from(1).with_total()).await.total, Some(2));
}
