//! At most one run of a pipeline has a key.

use prorch_core::repository::{NewRun, Part, Repository, Saved, Status, Text, Update};

use super::bench::{Bench, applied, definition, ended, id, new_run};

fn with_key(n: u64, key: &str) -> NewRun {
    NewRun { key: Some(Text::from(key)), ..new_run(n) }
}

pub async fn a_taken_key_names_the_run_that_has_it<R: Repository>(bench: Bench<R>) {
    assert_eq!(bench.save([with_key(1, "k")]).await, [Saved::New]);
    assert_eq!(bench.save([with_key(2, "k"), with_key(3, "j")]).await, [Saved::Known(id(1)), Saved::New]);
    assert_eq!(bench.get(2, Part::Row).await, None, "nothing is inserted");
    assert_eq!(bench.save([new_run(4), new_run(5)]).await, [Saved::New; 2], "no key is no key");
}

pub async fn two_of_one_batch_with_one_key_make_one_run<R: Repository>(bench: Bench<R>) {
    let saved = bench.save([with_key(1, "k"), with_key(2, "k"), with_key(3, "k")]).await;
    assert_eq!(saved, [Saved::New, Saved::Known(id(1)), Saved::Known(id(1))]);
}

pub async fn pipelines_have_keys_of_their_own<R: Repository>(bench: Bench<R>) {
    let other = NewRun { definition: definition("email", 1), ..with_key(2, "k") };
    assert_eq!(bench.save([with_key(1, "k"), other]).await, [Saved::New; 2]);
    let newer = NewRun { definition: definition("backup", 2), ..with_key(3, "k") };
    assert_eq!(bench.save([newer]).await, [Saved::Known(id(1))], "another list of steps, but one pipeline");
}

pub async fn a_run_that_ended_still_has_its_key<R: Repository>(bench: Bench<R>) {
    bench.save([with_key(1, "k")]).await;
    let held = bench.take(1, super::bench::worker(1), super::bench::at(0)).await;
    let state = Some(ended(&held.stored.run, Status::Failed));
    assert_eq!(bench.update(Update { state, ..held.release(None) }).await, applied(0));
    assert_eq!(bench.save([with_key(2, "k")]).await, [Saved::Known(id(1))]);
}

pub async fn keys_are_compared_to_the_letter<R: Repository>(bench: Bench<R>) {
    let keys = ["k", "K", "k ", " k", "k\n", "\u{e9}", "e\u{301}", "1", "1.0", "01", "NULL", "k'--"];
    for (n, key) in (1..).zip(keys) {
        assert_eq!(bench.save([with_key(n, key)]).await, [Saved::New], "{key:?}");
    }
    for (n, key) in (1..).zip(keys) {
        assert_eq!(bench.save([with_key(n + 100, key)]).await, [Saved::Known(id(n))], "{key:?}");
    }
}

pub async fn a_key_may_have_256_bytes<R: Repository>(bench: Bench<R>) {
    let long = "é".repeat(128);
    assert_eq!(bench.save([with_key(1, &long)]).await, [Saved::New]);
    assert_eq!(bench.row(1).await.key, Some(Text::from(long)));
}

pub async fn a_start_that_rides_on_an_update_respects_keys<R: Repository>(bench: Bench<R>) {
    bench.save([with_key(2, "k")]).await;
    let held = bench.held(1).await;
    let starts = vec![with_key(3, "k"), with_key(4, "j"), with_key(5, "j")];
    assert_eq!(bench.update(Update { starts, ..held.release(None) }).await, applied(0));
    assert_eq!(bench.get(3, Part::Row).await, None, "the key is taken");
    assert_eq!(bench.row(4).await.key, Some(Text::from("j")));
    assert_eq!(bench.get(5, Part::Row).await, None, "the key is taken by the start before");
    assert_eq!(bench.row(1).await.lease, None, "the update that carried them is applied all the same");
}
