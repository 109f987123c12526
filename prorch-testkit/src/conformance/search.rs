//! Which runs a search finds.

use prorch_core::repository::{Filter, Lease, NewRun, Repository, RunState, Status, Text};
use serde_json::{Value, json};

use super::bench::{Bench, LEASE, NONE, at, definition, known, new_run, worker};

async fn set<R: Repository>(bench: &Bench<R>, n: u64, change: impl FnOnce(&mut RunState)) {
    bench.with_state(new_run(n), change).await;
}

pub async fn an_empty_filter_finds_all<R: Repository>(bench: Bench<R>) {
    assert_eq!(bench.find(&Filter::all()).await, NONE);
    bench.save([new_run(1), new_run(2)]).await;
    bench.ended(3, Status::Failed).await;
    bench.held(4).await;
    let page = bench.search(&Filter::all()).await;
    assert_eq!(page.runs.len(), 4);
    for run in page.runs {
        let n = super::bench::number(run.id);
        assert_eq!(run, bench.row(n).await, "what is found is the row");
    }
}

pub async fn by_status<R: Repository>(bench: Bench<R>) {
    bench.save([new_run(1)]).await;
    bench.held(2).await;
    for (n, status) in (3..).zip([Status::Finished, Status::Failed, Status::Cancelled]) {
        bench.ended(n, status).await;
    }
    for (n, status) in (1..).zip(Status::ALL) {
        assert_eq!(bench.find(&Filter::all().statuses([status])).await, [n], "{status}");
    }
    assert_eq!(bench.find(&Filter::active()).await, [1, 2]);
    let two = Filter::all().statuses([Status::Cancelled, Status::Created]);
    assert_eq!(bench.find(&two).await, [1, 5]);
}

fn of(n: u64, pipeline: &str, fingerprint: u64) -> NewRun {
    NewRun { definition: definition(pipeline, fingerprint), ..new_run(n) }
}

pub async fn by_pipeline<R: Repository>(bench: Bench<R>) {
    let like = [of(4, "backup%", 1), of(5, "Backup", 1), of(6, "b_ckup", 1)];
    bench.save([of(1, "backup", 1), of(2, "backup", 2), of(3, "email", 1)].into_iter().chain(like)).await;
    assert_eq!(bench.find(&Filter::all().pipeline("backup")).await, [1, 2]);
    assert_eq!(bench.find(&Filter::all().pipeline("b_ckup")).await, [6], "a name is no pattern");
    assert_eq!(bench.find(&Filter::all().pipeline("back")).await, NONE);
}

pub async fn by_definitions<R: Repository>(bench: Bench<R>) {
    let high = u64::MAX;
    bench.save([of(1, "a", 1), of(2, "a", high), of(3, "b", 1), of(4, "b", high - 1)]).await;
    let definitions =
        |list: &[(&str, u64)]| list.iter().map(|(name, mark)| definition(name, *mark)).collect();
    let these = |list: &[_]| Filter { definitions: Some(definitions(list)), ..Filter::all() };
    assert_eq!(bench.find(&these(&[("a", 1)])).await, [1]);
    assert_eq!(bench.find(&these(&[("a", high), ("b", high - 1), ("c", 1)])).await, [2, 4]);
    assert_eq!(bench.find(&these(&[])).await, NONE, "of no definition there is no run");
    let others = |list: &[_]| Filter { other_than: definitions(list), ..Filter::all() };
    assert_eq!(bench.find(&others(&[("a", high), ("b", 1)])).await, [1, 4]);
    assert_eq!(bench.find(&others(&[])).await, [1, 2, 3, 4]);
}

pub async fn by_key<R: Repository>(bench: Bench<R>) {
    let key = |n, key: &str| NewRun { key: Some(Text::from(key)), ..new_run(n) };
    let other = NewRun { definition: definition("email", 1), ..key(4, "k") };
    bench.save([key(1, "k"), key(2, "K"), new_run(3), other]).await;
    assert_eq!(bench.find(&Filter::all().key("k")).await, [1, 4]);
    assert_eq!(bench.find(&Filter::all().key("k").pipeline("email")).await, [4]);
    assert_eq!(bench.find(&Filter::all().key("")).await, NONE, "no key is not an empty key");
}

fn pinned(n: u64, name: &str, value: Value) -> NewRun {
    NewRun { metadata: [(name.to_owned(), value)].into(), ..new_run(n) }
}

pub async fn by_metadata_of_every_type<R: Repository>(bench: Bench<R>) {
    let values = [
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(-1),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1.5),
        json!(""),
        json!("null"),
        json!("true"),
        json!("0"),
        json!("it's \"quoted\" 😀 \n"),
        json!("É"),
        json!("é"),
        json!([]),
        json!([1, 2]),
        json!([2, 1]),
        json!([[1], {"a": null}]),
        json!({}),
        json!({"a": 1, "b": 2}),
        json!({"a": 1}),
        json!({"a": "1"}),
    ];
    bench.save((1..).zip(&values).map(|(n, value)| pinned(n, "v", value.clone()))).await;
    bench.save([new_run(100), pinned(101, "w", json!(null))]).await;
    for (n, value) in (1..).zip(values) {
        let filter = Filter::all().metadata("v", value.clone());
        assert_eq!(bench.find(&filter).await, [n], "{value}");
    }
    let turned: Value = serde_json::from_str(r#"{"b": 2, "a": 1}"#).expect("JSON");
    assert_eq!(bench.find(&Filter::all().metadata("v", turned)).await, [21], "names have no order");
}

pub async fn a_number_is_found_only_as_it_was_written<R: Repository>(bench: Bench<R>) {
    let values = [json!(1), json!(1.0), json!("1"), json!(true), json!([1]), json!([1.0])];
    bench.save((1..).zip(&values).map(|(n, value)| pinned(n, "v", value.clone()))).await;
    for (n, value) in (1..).zip(values) {
        assert_eq!(bench.find(&Filter::all().metadata("v", value.clone())).await, [n], "{value}");
    }
}

pub async fn metadata_names_are_taken_to_the_letter<R: Repository>(bench: Bench<R>) {
    let names = ["a", "A", "a.b", "$.a", "a\"b", "a'b", "[0]", "", " ", "é", "%", "a_b", "axb"];
    bench.save((1..).zip(names).map(|(n, name)| pinned(n, name, json!(1)))).await;
    bench.save([pinned(50, "a", json!({"b": 1}))]).await;
    for (n, name) in (1..).zip(names) {
        assert_eq!(bench.find(&Filter::all().metadata(name, 1)).await, [n], "{name:?}");
    }
}

pub async fn metadata_that_was_changed_is_found_as_it_is_now<R: Repository>(bench: Bench<R>) {
    bench
        .with_state(pinned(1, "v", json!(1)), |state| {
            state.metadata = [("v".to_owned(), json!(2)), ("w".to_owned(), json!("x"))].into();
        })
        .await;
    assert_eq!(bench.find(&Filter::all().metadata("v", 1)).await, NONE);
    assert_eq!(bench.find(&Filter::all().metadata("v", 2).metadata("w", "x")).await, [1]);
    assert_eq!(bench.find(&Filter::all().metadata("v", 2).metadata("w", "y")).await, NONE, "all must hold");
}

pub async fn by_the_time_of_the_start<R: Repository>(bench: Bench<R>) {
    bench.save((1..=4).map(|n| NewRun { created_at: at(n as i64), ..new_run(n) })).await;
    let from = Filter { created_from: Some(at(2)), ..Filter::all() };
    assert_eq!(bench.find(&from).await, [2, 3, 4], "at that time or later");
    let before = Filter { created_before: Some(at(3)), ..Filter::all() };
    assert_eq!(bench.find(&before).await, [1, 2], "before that time");
    assert_eq!(bench.find(&Filter { created_before: Some(at(4)), ..from }).await, [2, 3]);
}

pub async fn by_what_is_due<R: Repository>(bench: Bench<R>) {
    let due = async |seconds| bench.find(&Filter { due: Some(at(seconds)), ..Filter::all() }).await;
    bench.save([new_run(1), NewRun { due_at: at(10), ..new_run(2) }]).await;
    set(&bench, 3, |state| state.paused = true).await;
    bench.ended(4, Status::Finished).await;
    bench.held(5).await;
    let held = bench.held(6).await;
    bench.update(held.release(None)).await;
    bench.save([new_run(7)]).await;
    let ahead = bench.row(7).await.claim(Lease::new(worker(2), at(3_600), LEASE), at(3_600));
    bench.update(ahead).await;
    assert_eq!(due(0).await, [1, 7], "a lease that a foreign clock stamped is none");
    assert_eq!(due(10).await, [1, 2, 7]);
    assert_eq!(due(30).await, [1, 2, 5, 7]);
    assert_eq!(due(3_600).await, [1, 2, 5], "now the clock agrees");
    assert_eq!(due(-31).await, [5, 7], "more than a lease before the claim that looks foreign, too");
}

pub async fn by_when_it_became_due<R: Repository>(bench: Bench<R>) {
    bench.save([new_run(1), NewRun { due_at: at(10), ..new_run(2) }]).await;
    bench.take(1, worker(1), at(40)).await;
    bench.save([new_run(3)]).await;
    bench.take(3, worker(2), at(3_600)).await;
    let due = async |now, by| {
        let filter = Filter { due: Some(at(now)), due_by: Some(at(by)), ..Filter::all() };
        bench.find(&filter).await
    };
    assert_eq!(
        due(50, 9).await,
        [3],
        "a foreign lease never counts, a live one is not seen from an earlier time"
    );
    assert_eq!(due(50, 10).await, [2, 3]);
    assert_eq!(due(80, 69).await, [2, 3]);
    assert_eq!(due(80, 70).await, [1, 2, 3]);
}

pub async fn by_suspicion<R: Repository>(bench: Bench<R>) {
    for crashes in 0..4 {
        set(&bench, 1 + u64::from(crashes), |state| state.crashes = crashes).await;
    }
    let suspect = |suspect| Filter { suspect: Some(suspect), ..Filter::all() };
    assert_eq!(bench.find(&suspect(true)).await, [3, 4]);
    assert_eq!(bench.find(&suspect(false)).await, [1, 2]);
}

pub async fn by_being_stuck<R: Repository>(bench: Bench<R>) {
    bench.save([new_run(1)]).await;
    set(&bench, 2, |state| state.stuck = Some(Text::from("no such step"))).await;
    let stuck = |stuck| Filter { stuck: Some(stuck), ..Filter::all() };
    assert_eq!(bench.find(&stuck(true)).await, [2]);
    assert_eq!(bench.find(&stuck(false)).await, [1]);
}

pub async fn everything_that_is_set_must_hold<R: Repository>(bench: Bench<R>) {
    let full = NewRun { key: Some(Text::from("k")), created_at: at(5), ..pinned(1, "v", json!(1)) };
    bench.save([full, new_run(2)]).await;
    let filter = Filter {
        definitions: Some(vec![known()]),
        created_from: Some(at(5)),
        created_before: Some(at(6)),
        due: Some(at(0)),
        suspect: Some(false),
        stuck: Some(false),
        ..Filter::active().pipeline("backup").key("k").metadata("v", 1)
    };
    assert_eq!(bench.find(&filter).await, [1]);
    let misses = [
        Filter { statuses: vec![Status::Failed], ..filter.clone() },
        Filter { pipeline: Some(Text::from("email")), ..filter.clone() },
        Filter { definitions: Some(vec![definition("backup", 2)]), ..filter.clone() },
        Filter { other_than: vec![known()], ..filter.clone() },
        Filter { key: Some(Text::from("j")), ..filter.clone() },
        filter.clone().metadata("w", 1),
        Filter { created_from: Some(at(6)), ..filter.clone() },
        Filter { created_before: Some(at(5)), ..filter.clone() },
        Filter { due: Some(at(-1)), ..filter.clone() },
        Filter { suspect: Some(true), ..filter.clone() },
        Filter { stuck: Some(true), ..filter },
    ];
    for miss in misses {
        assert_eq!(bench.find(&miss).await, NONE, "{miss:?}");
    }
}
