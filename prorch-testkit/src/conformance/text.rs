//! Text is kept to the letter.

use prorch_core::repository::{Filter, NewRun, RecordWrite, Repository, RunState, StepRecord, Text, Update};

use super::bench::{Bench, Held, applied, at, new_run, position, record, worker};

/// A held run that was started with `text`, and whose columns and first record are full of it.
async fn with_text<R: Repository>(bench: &Bench<R>, n: u64, text: &Text) -> Held {
    bench.save([NewRun { input: text.clone(), ..new_run(n) }]).await;
    let held = bench.take(n, worker(1), at(0)).await;
    let some = || Some(text.clone());
    let state = RunState { output: some(), stuck: some(), ..held.stored.run.state.clone() };
    let record = StepRecord { state: some(), output: some(), error: some(), ..record(0, 0) };
    let update = Update { state: Some(state), ..held.writing([RecordWrite::New(record)]) };
    assert_eq!(bench.update(update).await, applied(0));
    held
}

async fn assert_kept<R: Repository>(bench: &Bench<R>, n: u64, text: &Text) {
    with_text(bench, n, text).await;
    let whole = bench.whole(n).await;
    let record = &whole.records[&position(0, 0)];
    let state = &whole.run.state;
    assert!(whole.run.input == *text, "the input of run {n}");
    for kept in [&state.output, &state.stuck, &record.state, &record.output, &record.error] {
        assert!(kept.as_ref() == Some(text), "run {n}");
    }
}

pub async fn any_text_is_kept_to_the_letter<R: Repository>(bench: Bench<R>) {
    let texts = [
        "it's \"quoted\" `here`",
        "back\\slash \\n \\u0000 \\",
        "line\nline\r\nline\ttab\u{1}\u{7f}",
        "😀 é e\u{301} \u{feff} \u{202e} 漢字 \u{10ffff}",
        " space before and after ",
        "'; DROP TABLE runs; --",
        "$1 ?1 :name %s {}",
        "1e400",
        "{\"b\": 1,  \"a\": 1.0}",
        "null",
    ];
    for (n, text) in (1..).zip(texts) {
        assert_kept(&bench, n, &Text::from(text)).await;
    }
}

pub async fn an_empty_text_is_not_none<R: Repository>(bench: Bench<R>) {
    assert_kept(&bench, 1, &Text::default()).await;
}

pub async fn inputs_of_every_length_are_kept<R: Repository>(bench: Bench<R>) {
    let lengths = [2, 100, 1_000, 3_000, 3_001, 4_096, 100_000];
    let new = |n, length| NewRun { input: Text::from("é".repeat(length)), ..new_run(n) };
    let held = bench.held(99).await;
    for (n, length) in (1..).zip(lengths) {
        bench.save([new(2 * n, length)]).await;
        bench.update(Update { starts: vec![new(2 * n + 1, length)], ..held.keep() }).await;
        for n in [2 * n, 2 * n + 1] {
            let input = Text::from("é".repeat(length));
            let held = bench.take(n, worker(1), at(0)).await;
            assert!(held.stored.run.input == input, "a claim brings {length}");
            bench.update(held.release(None)).await;
            assert!(bench.row(n).await.input == input, "{length}");
        }
    }
    let found = bench.search(&Filter::all()).await.runs;
    assert!(found.iter().any(|run| run.input.len() == 200_000));
}

pub async fn ten_megabytes_are_kept<R: Repository>(bench: Bench<R>) {
    let text = Text::from(format!("\"{}\"", "é\\\"x".repeat(2_000_000)));
    let held = bench.held(1).await;
    let record = StepRecord { output: Some(text.clone()), ..record(0, 0) };
    assert_eq!(bench.update(held.writing([RecordWrite::New(record)])).await, applied(0));
    let records = bench.whole(1).await.records;
    assert!(records[&position(0, 0)].output.as_ref() == Some(&text));
}

pub async fn names_that_look_like_commands_are_names<R: Repository>(bench: Bench<R>) {
    let name = "it's \"a\"; DROP TABLE runs; -- 😀";
    let mut new = NewRun { key: Some(Text::from(name)), ..new_run(1) };
    new.definition.pipeline = Text::from(name);
    bench.save([new.clone()]).await;
    let row = bench.row(1).await;
    assert_eq!((row.definition, row.key), (new.definition, new.key));
    let held = bench.take(1, worker(1), at(0)).await;
    let record = StepRecord { name: Text::from(name), awaits: Some(Text::from(name)), ..record(0, 0) };
    assert_eq!(bench.update(held.writing([RecordWrite::New(record.clone())])).await, applied(0));
    assert_eq!(bench.whole(1).await.records[&position(0, 0)], record);
}
