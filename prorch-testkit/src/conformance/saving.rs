//! New runs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prorch_core::repository::{
    NewRun, Origin, Part, Repository, Run, Saved, StepRecord, StoreErrorKind, Text, Timestamp,
};
use serde_json::json;

use super::bench::{Bench, at, id, new_run, record};

pub async fn a_new_run_is_stored_as_it_was_given<R: Repository>(bench: Bench<R>) {
    let new = NewRun {
        input: Text::from(r#"{"path":"/etc"}"#),
        key: Some(Text::from("order-42")),
        priority: 2,
        metadata: [("team", json!("storage")), ("sizes", json!([1, 2.5, null, true, {"a": "b"}]))]
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
        created_at: at(1),
        due_at: at(60),
        ..new_run(1)
    };
    assert_eq!(bench.save([new.clone()]).await, [Saved::New]);
    let whole = bench.whole(1).await;
    assert_eq!(whole.run, Run::new(new));
    assert!(whole.records.is_empty() && whole.untaken.is_empty());
}

pub async fn a_run_that_was_never_saved_is_none<R: Repository>(bench: Bench<R>) {
    bench.save([new_run(1)]).await;
    assert_eq!(bench.get(2, Part::Row).await, None);
    assert_eq!(bench.get(2, Part::Work).await, None);
}

pub async fn one_id_is_saved_once<R: Repository>(bench: Bench<R>) {
    bench.save([new_run(1)]).await;
    let before = bench.whole(1).await;
    let again = NewRun { input: Text::from("2"), key: Some(Text::from("k")), priority: 0, ..new_run(1) };
    assert_eq!(bench.save([again]).await, [Saved::Known(id(1))]);
    assert_eq!(bench.whole(1).await, before, "the run that was there is left as it was");
    let other = NewRun { key: Some(Text::from("k")), ..new_run(2) };
    assert_eq!(bench.save([other]).await, [Saved::New], "what was not inserted takes no key");
}

pub async fn two_of_one_batch_count_as_one_after_the_other<R: Repository>(bench: Bench<R>) {
    let again = NewRun { input: Text::from("2"), ..new_run(1) };
    let saved = bench.save([new_run(1), again, new_run(2)]).await;
    assert_eq!(saved, [Saved::New, Saved::Known(id(1)), Saved::New]);
    assert_eq!(bench.row(1).await.input, "null");
}

pub async fn a_run_that_cannot_be_stored_refuses_the_batch<R: Repository>(bench: Bench<R>) {
    let nul = Some(Text::from("\"a\0b\""));
    let mut nameless = new_run(2);
    nameless.definition.pipeline = Text::default();
    let bad = [
        NewRun { priority: 10, ..new_run(2) },
        NewRun { input: Text::from("\"a\0b\""), ..new_run(2) },
        NewRun { key: Some(Text::from("a\0b")), ..new_run(2) },
        NewRun { key: Some(Text::from("k".repeat(257))), ..new_run(2) },
        NewRun { key: Some(Text::default()), ..new_run(2) },
        NewRun { origin: Some(Origin { run: id(9), step: Text::default() }), ..new_run(2) },
        NewRun { records: vec![StepRecord { output: nul, ..record(0, 0) }], ..new_run(2) },
        nameless,
    ];
    for bad in bad {
        let error = bench.repository.save(vec![new_run(1), bad.clone(), new_run(3)]).await;
        let kind = error.as_ref().map_err(|error| error.kind());
        assert_eq!(kind, Err(StoreErrorKind::Refused), "{bad:?}");
        for n in [1, 2, 3] {
            assert_eq!(bench.get(n, Part::Row).await, None, "run {n} beside {bad:?}");
        }
    }
}

pub async fn saving_nothing_is_fine<R: Repository>(bench: Bench<R>) {
    assert_eq!(bench.save([]).await, []);
}

pub async fn a_thousand_runs_in_one_call<R: Repository>(bench: Bench<R>) {
    let saved = bench.save((1..=1_000).map(new_run)).await;
    assert_eq!(saved, vec![Saved::New; 1_000]);
    assert_eq!(bench.row(1_000).await, Run::new(new_run(1_000)));
}

pub async fn somebody_who_waits_for_a_change_is_woken_by_a_save<R: Repository>(bench: Bench<R>) {
    let saved = AtomicU64::new(0);
    // A hint may be missed by who comes a moment late, so there is another change until it was seen.
    let changes = async {
        loop {
            bench.save([new_run(1 + saved.fetch_add(1, Ordering::Relaxed))]).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let woken = async {
        tokio::select! {
            () = bench.repository.changed() => {}
            () = changes => {}
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(30), woken).await.is_ok(), "`changed` never returns");
    assert!(bench.row(1).await.due_at < Some(Timestamp::MAX));
}
