//! How much of a run is read.

use prorch_core::repository::{
    Fan, Part, Position, RecordWrite, Repository, RunState, Status, StepRecord, StoredRun, Update,
};

use super::bench::{Bench, Held, applied, at, message_id, new_run, position, record, request, signal};

/// A run with the records 0.0, 1.0, 1.1, 2.0, 3.0, 3.1 and three messages, the second of which was taken.
async fn scene<R: Repository>(bench: &Bench<R>) -> Held {
    let held = bench.held(1).await;
    let places = [(3, 1), (0, 0), (1, 1), (2, 0), (1, 0), (3, 0)];
    let records = places.map(|(stage, item)| RecordWrite::New(record(stage, item)));
    bench.update(held.writing(records)).await;
    for n in 1..=3 {
        bench.post(1, signal(n)).await;
    }
    bench.update(Update { taken: vec![message_id(2)], ..held.keep() }).await;
    held
}

fn places(stored: &StoredRun) -> Vec<(u32, u32)> {
    assert!(stored.records.iter().all(|(at, record)| *at == record.position));
    stored.records.keys().map(|at| (at.stage, at.item)).collect()
}

pub async fn the_row_comes_alone<R: Repository>(bench: Bench<R>) {
    scene(&bench).await;
    let stored = bench.get(1, Part::Row).await.expect("the run is there");
    assert!(stored.records.is_empty() && stored.inbox.is_empty());
    assert_eq!(stored.run.inbox_seq, 3);
}

pub async fn work_is_the_last_two_stages_and_the_open_mail<R: Repository>(bench: Bench<R>) {
    scene(&bench).await;
    let stored = bench.work(1).await;
    assert_eq!(places(&stored), [(2, 0), (3, 0), (3, 1)]);
    let ids: Vec<_> = stored.inbox.iter().map(|message| message.id).collect();
    assert_eq!(ids, [message_id(1), message_id(3)]);
}

pub async fn work_of_a_new_run_is_its_row<R: Repository>(bench: Bench<R>) {
    bench.save([new_run(1)]).await;
    let stored = bench.work(1).await;
    assert!(stored.records.is_empty() && stored.inbox.is_empty());
    let held = bench.held(2).await;
    bench.update(held.writing([RecordWrite::New(record(0, 0))])).await;
    assert_eq!(places(&bench.work(2).await), [(0, 0)], "the first stage has none before it");
}

/// A run that stands like this, with these records.
async fn standing<R: Repository>(
    bench: &Bench<R>,
    n: u64,
    fan: Option<Fan>,
    records: impl IntoIterator<Item = StepRecord>,
) {
    let held = bench.held(n).await;
    let state = RunState { fan, ..held.stored.run.state.clone() };
    let update = held.writing(records.into_iter().map(RecordWrite::New));
    let update = Update { state: Some(state), hold: held.release(Some(at(1))).hold, ..update };
    assert_eq!(bench.update(update).await, applied(0));
}

fn in_stage(stage: u32, width: u32, low: u32) -> Option<Fan> {
    Some(Fan { stage, width: Some(width), entered: width, finished: low, low })
}

fn with_status(stage: u32, item: u32, status: Status) -> StepRecord {
    StepRecord { status, ..record(stage, item) }
}

/// Where the records stand that come when the run is read, which are those that come when it is claimed.
async fn work_places<R: Repository>(bench: &Bench<R>, n: u64) -> Vec<(u32, u32)> {
    let read = places(&bench.work(n).await);
    let claims = bench.claim(&request(99, at(1))).await;
    let claimed = claims.iter().find(|held| held.number() == n).expect("the run is claimed");
    assert_eq!(places(&claimed.stored), read, "a claim of run {n} brings the same");
    for held in &claims {
        bench.update(held.release(Some(at(1)))).await;
    }
    read
}

pub async fn work_among_many_leaves_out_what_has_finished<R: Repository>(bench: Bench<R>) {
    let statuses = Status::ALL.into_iter().chain(Status::ALL);
    let members = || (0..).zip(statuses.clone()).map(|(item, status)| with_status(1, item, status));
    standing(&bench, 1, in_stage(1, 10, 0), members()).await;
    let open = [0, 1, 3, 4, 5, 6, 8, 9].map(|item| (1, item));
    assert_eq!(work_places(&bench, 1).await, open);
    let work = bench.work(1).await;
    assert!(
        work.records
            .values()
            .eq(members().filter(|record| record.status != Status::Finished).collect::<Vec<_>>().iter())
    );
    standing(&bench, 2, None, [record(0, 0), with_status(1, 0, Status::Finished)]).await;
    assert_eq!(
        work_places(&bench, 2).await,
        [(0, 0), (1, 0)],
        "alone a finished record says that it has finished"
    );
}

pub async fn work_among_many_begins_at_the_first_that_has_not_finished<R: Repository>(bench: Bench<R>) {
    // What stands below is not looked at, whatever it says.
    standing(&bench, 1, in_stage(0, 9, 4), (0..9).map(|item| record(0, item))).await;
    assert_eq!(work_places(&bench, 1).await, [4, 5, 6, 7, 8].map(|item| (0, item)));
    standing(&bench, 2, in_stage(1, 9, 9), (0..9).map(|item| record(1, item))).await;
    assert_eq!(work_places(&bench, 2).await, []);
}

pub async fn of_the_stage_before_work_brings_eight<R: Repository>(bench: Bench<R>) {
    let before = |count| (0..count).map(|item| with_status(1, item, Status::Finished));
    let ends = || [record(0, 0), record(2, 0), with_status(2, 1, Status::Finished)];
    for (n, (count, brought)) in (1..).zip([(1, 1), (3, 3), (8, 8), (9, 8), (30, 8)]) {
        let mut expected: Vec<_> = (0..brought).map(|item| (1, item)).collect();
        standing(&bench, 2 * n, in_stage(2, 2, 0), before(count).chain(ends())).await;
        expected.push((2, 0));
        assert_eq!(work_places(&bench, 2 * n).await, expected, "among many, after {count}");
        standing(&bench, 2 * n + 1, None, before(count).chain(ends())).await;
        expected.push((2, 1));
        assert_eq!(work_places(&bench, 2 * n + 1).await, expected, "alone, after {count}");
    }
    let gaps = [2, 7, 8, 40].map(|item| with_status(0, item, Status::Finished));
    standing(&bench, 99, None, gaps.into_iter().chain([record(1, 0)])).await;
    assert_eq!(work_places(&bench, 99).await, [(0, 2), (0, 7), (1, 0)], "the first eight places");
}

pub async fn work_of_a_stage_without_records_is_what_came_before<R: Repository>(bench: Bench<R>) {
    let unknown = |stage| Some(Fan { stage, width: None, entered: 0, finished: 0, low: 0 });
    standing(&bench, 1, unknown(0), []).await;
    assert_eq!(work_places(&bench, 1).await, []);
    standing(&bench, 2, unknown(2), [(0, 0), (1, 0), (1, 1)].map(|(stage, item)| record(stage, item))).await;
    assert_eq!(work_places(&bench, 2).await, [(1, 0), (1, 1)]);
}

pub async fn ten_thousand_records_are_read_page_by_page<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    for first in [0, 2_500, 5_000, 7_500] {
        let finished = (first..first + 2_500).map(|item| with_status(0, item, Status::Finished));
        assert_eq!(bench.update(held.writing(finished.map(RecordWrite::New))).await, applied(0));
    }
    let mut from = Position::default();
    let mut seen = 0;
    loop {
        let page =
            bench.get(1, Part::Records { from, limit: 4_000 }).await.expect("the run is there").records;
        let Some(last) = page.keys().next_back() else { break };
        assert!(page.keys().copied().eq((seen..).map(|item| position(0, item)).take(page.len())), "{from}");
        seen += page.len() as u32;
        from = Position { item: last.item + 1, ..*last };
    }
    assert_eq!(seen, 10_000);
    let state = RunState { fan: in_stage(0, 10_000, 9_999), ..held.stored.run.state.clone() };
    bench
        .update(Update { state: Some(state), ..held.writing([RecordWrite::Changed(record(0, 9_999))]) })
        .await;
    assert_eq!(places(&bench.work(1).await), [(0, 9_999)]);
}

pub async fn records_come_from_a_position_up_to_a_limit<R: Repository>(bench: Bench<R>) {
    scene(&bench).await;
    let range = async |from: Position, limit| {
        let stored = bench.get(1, Part::Records { from, limit }).await.expect("the run is there");
        assert!(stored.inbox.is_empty());
        places(&stored)
    };
    assert_eq!(range(position(0, 0), 100).await, [(0, 0), (1, 0), (1, 1), (2, 0), (3, 0), (3, 1)]);
    assert_eq!(range(position(1, 1), 2).await, [(1, 1), (2, 0)]);
    assert_eq!(range(position(1, 2), 1).await, [(2, 0)], "where there is none, from the next one");
    assert_eq!(range(position(4, 0), 5).await, []);
    assert_eq!(range(position(0, 0), 0).await, []);
}
