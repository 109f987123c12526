//! Records and the run's columns are kept as they were written.

use prorch_core::repository::{
    Cause, CauseKind, Child, Fan, RecordWrite, Repository, RunState, Status, StepProgress, StepRecord, Text,
    Update,
};
use serde_json::json;

use super::bench::{Bench, applied, at, id, position, record};

/// A record in which every field says something.
fn full(stage: u32) -> StepRecord {
    StepRecord {
        status: Status::Pending,
        resumable: true,
        attempt: 3,
        errors: 2,
        state: Some(Text::from(r#"{"job": 17}"#)),
        output: Some(Text::from("[1]")),
        error: Some(Text::from("the disk is full")),
        due_at: Some(at(9)),
        awaits: Some(Text::from("go")),
        progress: Some(StepProgress { done: 3, total: u64::MAX >> 1 }),
        metadata: [("host".to_owned(), json!({"name": "a", "cores": [1, 2]}))].into(),
        child: Some(Child { run: id(77), generation: 3 }),
        intent: Some(at(3)),
        entered_at: at(1),
        ended_at: Some(at(2)),
        ..record(stage, 0)
    }
}

pub async fn a_record_is_kept_as_it_was_written<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    for (n, status) in (0..).zip(Status::ALL) {
        let record = StepRecord { status, ..full(n) };
        assert_eq!(bench.update(held.writing([RecordWrite::New(record.clone())])).await, applied(0));
        assert_eq!(bench.whole(1).await.records[&position(n, 0)], record);
    }
}

pub async fn a_changed_record_is_replaced_whole<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    let first = [RecordWrite::New(full(0)), RecordWrite::New(full(1))];
    bench.update(held.writing(first)).await;
    let empty = StepRecord { due_at: None, ..record(0, 0) };
    assert_eq!(bench.update(held.writing([RecordWrite::Changed(empty.clone())])).await, applied(0));
    let records = bench.whole(1).await.records;
    assert_eq!(records[&position(0, 0)], empty, "what is none now was something before");
    assert_eq!(records[&position(1, 0)], full(1));
}

pub async fn a_removed_record_is_gone<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    let other = bench.held(2).await;
    for held in [&held, &other] {
        bench.update(held.writing([0, 1].map(|item| RecordWrite::New(record(0, item))))).await;
    }
    let removed = vec![position(0, 1), position(7, 7)];
    assert_eq!(bench.update(Update { removed, ..held.keep() }).await, applied(0));
    assert_eq!(Vec::from_iter(bench.whole(1).await.records.into_keys()), [position(0, 0)]);
    assert_eq!(bench.whole(2).await.records.len(), 2, "another run's records stay");
}

pub async fn a_record_can_be_removed_and_written_anew<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    bench.update(held.writing([RecordWrite::New(full(0))])).await;
    let removed = vec![position(0, 0)];
    let update = Update { removed, ..held.writing([RecordWrite::New(record(0, 0))]) };
    assert_eq!(bench.update(update).await, applied(0));
    assert_eq!(bench.whole(1).await.records[&position(0, 0)], record(0, 0));
}

pub async fn the_state_of_a_run_is_kept_as_it_was_written<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    let kinds = [
        CauseKind::Error,
        CauseKind::Deadline,
        CauseKind::Crash,
        CauseKind::Child,
        CauseKind::Refused,
        CauseKind::Cancelled,
        CauseKind::Undo,
        CauseKind::InDoubt,
    ];
    for kind in kinds {
        let cause = Cause { step: Some(Text::from("transfer")), kind, text: Text::from("it's \"gone\"") };
        let state = RunState {
            status: Status::Pending,
            output: Some(Text::from("{}")),
            cause: Some(cause),
            metadata: [("é".to_owned(), json!([null, {"x": 1.5}]))].into(),
            paused: true,
            crashes: 4,
            stuck: Some(Text::from("no such step")),
            fan: None,
            starts: None,
            undo: None,
            started_at: Some(at(1)),
            ended_at: Some(at(2)),
        };
        assert_eq!(bench.update(Update { state: Some(state.clone()), ..held.keep() }).await, applied(0));
        assert_eq!(bench.row(1).await.state, state);
    }
    let state = RunState { metadata: [].into(), ..held.stored.run.state.clone() };
    bench.update(Update { state: Some(state.clone()), ..held.keep() }).await;
    assert_eq!(bench.row(1).await.state, state, "what is none now was something before");
}

pub async fn an_update_without_a_state_leaves_it<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    let state = RunState { crashes: 2, paused: true, ..held.stored.run.state.clone() };
    bench.update(Update { state: Some(state.clone()), ..held.keep() }).await;
    bench.update(held.release(None)).await;
    assert_eq!(bench.row(1).await.state, state);
}

pub async fn how_a_run_stands_among_many_is_kept_and_cleared<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    let most = u32::MAX;
    let fans = [
        Some(Fan { stage: 0, width: None, entered: 0, finished: 0, low: 0 }),
        Some(Fan { stage: 3, width: Some(0), entered: 0, finished: 0, low: 0 }),
        Some(Fan { stage: 3, width: Some(9_999), entered: 512, finished: 300, low: 17 }),
        None,
        Some(Fan { stage: 70_000, width: Some(most), entered: most, finished: most, low: most }),
        Some(Fan { stage: 1, width: Some(2), entered: 2, finished: 0, low: 0 }),
    ];
    for fan in fans {
        let state = RunState { fan, ..held.stored.run.state.clone() };
        assert_eq!(bench.update(Update { state: Some(state.clone()), ..held.keep() }).await, applied(0));
        assert_eq!(bench.update(held.keep()).await, applied(0));
        assert_eq!(bench.row(1).await.state, state, "without a state it stays");
    }
}

pub async fn what_a_record_started_is_kept_and_cleared<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    let most = Child { run: id(u64::MAX), generation: u32::MAX };
    for child in [Some(Child { run: id(2), generation: 0 }), Some(most), None] {
        let record = StepRecord { child, ..record(0, 0) };
        assert_eq!(bench.update(held.writing([RecordWrite::Changed(record.clone())])).await, applied(0));
        assert_eq!(bench.whole(1).await.records[&position(0, 0)], record);
        assert_eq!(bench.work(1).await.records[&position(0, 0)], record);
    }
}

pub async fn a_thousand_records_in_one_update<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    let other = bench.held(2).await;
    let records = (0..1_000).map(|item| RecordWrite::New(record(0, item)));
    let answers = bench.batch([held.writing(records), other.writing([RecordWrite::New(record(0, 0))])]).await;
    assert_eq!(answers, [applied(0), applied(0)]);
    let records = bench.whole(1).await.records;
    assert_eq!(records.len(), 1_000);
    assert_eq!(records[&position(0, 999)], record(0, 999));
}
