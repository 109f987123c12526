//! Each update is applied whole or not at all, and answered by itself.

use prorch_core::repository::{
    Answer, Cause, CauseKind, Filter, Guard, Lease, Mail, Message, NewRun, Part, RecordWrite, Repository,
    Run, RunState, Status, StepRecord, Text, Update,
};

use super::bench::{
    Bench, Held, LEASE, applied, at, id, message_id, new_run, position, post, record, signal, worker,
};

/// Three held runs, and a valid update of each.
async fn three<R: Repository>(bench: &Bench<R>) -> Vec<Update> {
    let mut updates = Vec::new();
    for n in 1..=3 {
        updates.push(bench.held(n).await.writing([RecordWrite::New(record(0, 0))]));
    }
    updates
}

fn is_rejected(answer: &Answer) -> bool {
    matches!(answer, Answer::Rejected(why) if !why.is_empty())
}

async fn one_bad_one<R: Repository>(bench: Bench<R>, place: usize) {
    let mut updates = three(&bench).await;
    let unwritable = StepRecord { output: Some(Text::from("\"a\0b\"")), ..record(1, 0) };
    updates[place].records.push(RecordWrite::New(unwritable));
    let answers = bench.batch(updates).await;
    for (n, answer) in answers.iter().enumerate() {
        let written = !bench.whole(n as u64 + 1).await.records.is_empty();
        assert_eq!(written, n != place, "the update at place {n}");
        assert_eq!(is_rejected(answer), n == place, "{answer:?} at place {n}");
        assert!(n == place || *answer == applied(0), "{answer:?} at place {n}");
    }
}

pub async fn answers_come_in_the_order_of_the_updates<R: Repository>(bench: Bench<R>) {
    let held = bench.held(2).await;
    let finished = bench.ended(3, Status::Finished).await;
    bench.save([new_run(1)]).await;
    let other = Update { guard: Guard::Held(held.stored.run.epoch, worker(9)), ..held.keep() };
    let answers = bench
        .batch([
            Update::post(id(1), signal(1)),
            Update::post(finished.id, signal(2)),
            held.release(None),
            other,
            Update::post(id(99), signal(3)),
            Update::post(id(1), signal(4)),
        ])
        .await;
    let expected = [applied(1), Answer::Closed, applied(0), Answer::Stale, Answer::Closed, applied(2)];
    assert_eq!(answers, expected);
}

pub async fn a_bad_update_at_the_first_place_harms_no_other<R: Repository>(bench: Bench<R>) {
    one_bad_one(bench, 0).await;
}

pub async fn a_bad_update_in_the_middle_harms_no_other<R: Repository>(bench: Bench<R>) {
    one_bad_one(bench, 1).await;
}

pub async fn a_bad_update_at_the_last_place_harms_no_other<R: Repository>(bench: Bench<R>) {
    one_bad_one(bench, 2).await;
}

pub async fn a_rejected_update_writes_nothing<R: Repository>(bench: Bench<R>) {
    bench.save([new_run(2)]).await;
    let held = bench.held(1).await;
    bench.update(held.writing([RecordWrite::New(record(0, 0))])).await;
    bench.post(1, signal(1)).await;
    let before = (bench.whole(1).await, bench.whole(2).await);
    let bad = Update {
        state: Some(RunState { crashes: 7, ..held.stored.run.state.clone() }),
        records: vec![RecordWrite::New(record(1, 0))],
        removed: vec![record(0, 0).position],
        taken: vec![message_id(1)],
        posts: vec![post(1, signal(2)), post(2, signal(3))],
        starts: vec![new_run(3), NewRun { priority: 10, ..new_run(4) }],
        ..held.release(None)
    };
    let answers = bench.batch([bad]).await;
    assert!(is_rejected(&answers[0]), "{answers:?}");
    assert_eq!((bench.whole(1).await, bench.whole(2).await), before);
    assert_eq!(bench.get(3, Part::Row).await, None);
    assert_eq!(bench.update(held.keep()).await, applied(1), "the holder may try something else");
}

fn unwritable(held: &Held) -> Vec<Update> {
    let nul = || Text::from("a\0b");
    let step = |record| held.writing([RecordWrite::New(record)]);
    let state = |change: &dyn Fn(&mut RunState)| {
        let mut state = held.stored.run.state.clone();
        change(&mut state);
        Update { state: Some(state), ..held.keep() }
    };
    let mail =
        |mail| Update { posts: vec![post(1, Message::new(message_id(1), mail, at(0)))], ..held.keep() };
    vec![
        step(StepRecord { name: nul(), ..record(0, 0) }),
        step(StepRecord { name: Text::default(), ..record(0, 0) }),
        step(StepRecord { name: Text::from("n".repeat(257)), ..record(0, 0) }),
        step(StepRecord { state: Some(nul()), ..record(0, 0) }),
        step(StepRecord { output: Some(nul()), ..record(0, 0) }),
        step(StepRecord { error: Some(nul()), ..record(0, 0) }),
        step(StepRecord { awaits: Some(nul()), ..record(0, 0) }),
        step(StepRecord { awaits: Some(Text::from("n".repeat(257))), ..record(0, 0) }),
        state(&|state| state.output = Some(nul())),
        state(&|state| state.stuck = Some(nul())),
        state(&|state| state.cause = Some(Cause { step: None, kind: CauseKind::Error, text: nul() })),
        mail(Mail::Signal { name: nul(), payload: Text::from("1") }),
        mail(Mail::Signal { name: Text::from("n".repeat(257)), payload: Text::from("1") }),
        mail(Mail::Signal { name: Text::from("go"), payload: nul() }),
        mail(Mail::Cancel { reason: nul() }),
        mail(Mail::Ended {
            position: position(0, 0),
            child: id(1),
            status: Status::Failed,
            reason: Some(nul()),
        }),
        Update { starts: vec![NewRun { input: nul(), ..new_run(5) }], ..held.keep() },
        Update { starts: vec![NewRun { key: Some(nul()), ..new_run(5) }], ..held.keep() },
    ]
}

pub async fn what_no_store_can_take_is_rejected<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    let before = bench.whole(1).await;
    for update in unwritable(&held) {
        let answer = bench.update(update.clone()).await;
        assert!(is_rejected(&answer), "{answer:?} to {update:?}");
    }
    let mail = Mail::Signal { name: Text::from("a\0b"), payload: Text::from("1") };
    let answer = bench.post(1, Message::new(message_id(1), mail, at(0))).await;
    assert!(is_rejected(&answer), "{answer:?} to a post from outside");
    assert_eq!(bench.whole(1).await, before);
}

pub async fn updating_nothing_is_fine<R: Repository>(bench: Bench<R>) {
    assert_eq!(bench.batch([]).await, []);
}

pub async fn a_thousand_updates_in_one_call<R: Repository>(bench: Bench<R>) {
    bench.save((1..=1_000).map(new_run)).await;
    let found = bench.search(&Filter::all().limit(1_000)).await.runs;
    let lease = Lease::new(worker(1), at(0), LEASE);
    let claim =
        |run: &Run| Update { records: vec![RecordWrite::New(record(0, 0))], ..run.claim(lease, at(0)) };
    let answers = bench.batch(found.iter().map(claim)).await;
    assert_eq!(answers, vec![applied(0); 1_000]);
    for n in [1, 500, 1_000] {
        let whole = bench.whole(n).await;
        assert_eq!((whole.records.len(), whole.run.lease), (1, Some(lease)), "run {n}");
    }
}
