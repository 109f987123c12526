//! How much of a run is read.

use prorch_core::repository::{Part, Position, RecordWrite, Repository, StoredRun, Update};

use super::bench::{Bench, Held, message_id, new_run, position, record, signal};

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
