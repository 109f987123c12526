//! Each update is applied whole or not at all, and answered by itself.

use prorch_core::repository::{
    Answer, Cause, CauseKind, Definition, Filter, Guard, Lease, Mail, Message, NewRun, Part, RecordWrite,
    Repository, Run, RunState, Status, StepRecord, StoredRun, Text, Update,
};

use super::bench::{
    Bench, Held, LEASE, applied, at, id, known, message_id, new_run, position, post, record, signal, worker,
};

fn is_rejected(answer: &Answer) -> bool {
    matches!(answer, Answer::Rejected(why) if !why.is_empty())
}

/// How many updates are in a full batch.
const FULL: u64 = 1_000;

/// As many runs, all held by the first worker. Not by one claim: a store with the four methods alone reads the runs for it
/// one by one.
async fn full<R: Repository>(bench: &Bench<R>) -> Vec<Held> {
    bench.save((1..=FULL).map(new_run)).await;
    let lease = Lease::new(worker(1), at(0), LEASE);
    let claims: Vec<_> = (1..=FULL).map(|n| Run::new(new_run(n)).claim(lease, at(0))).collect();
    assert_eq!(bench.batch(claims.clone()).await, vec![applied(0); FULL as usize]);
    let held = claims.iter().zip(1..).map(|(claim, n)| {
        let mut stored = StoredRun::new(new_run(n));
        claim.apply(&mut stored);
        Held { stored, holder: worker(1) }
    });
    held.collect()
}

/// What makes an update one that no store can take.
const SPOILT: [fn(&mut StepRecord); 3] = [
    |record| record.output = Some(Text::from("\"a\0b\"")),
    |record| record.name = Text::from("n".repeat(257)),
    |record| record.name = Text::default(),
];

/// An update that leaves a mark with this number on its run, and a record.
fn marking(held: &Held, mark: usize) -> Update {
    let mut state = held.stored.run.state.clone();
    state.metadata.insert("mark".into(), mark.into());
    let record = record(0, mark as u32);
    Update { state: Some(state), ..held.writing([RecordWrite::New(record)]) }
}

async fn one_bad_one<R: Repository>(bench: Bench<R>, place: usize) {
    let held = full(&bench).await;
    for (mark, spoil) in SPOILT.iter().enumerate() {
        let mut updates: Vec<_> = held.iter().map(|held| marking(held, mark)).collect();
        let mut unwritable = record(1, 0);
        spoil(&mut unwritable);
        updates[place].records.push(RecordWrite::New(unwritable));
        let answers = bench.batch(updates).await;
        let (bad, good): (Vec<_>, Vec<_>) =
            answers.iter().enumerate().partition(|(_, answer)| **answer != applied(0));
        assert!(matches!(bad[..], [(at, answer)] if at == place && is_rejected(answer)), "{bad:?}");
        assert_eq!(good.len() as u64, FULL - 1);
        let marked = bench.search(&Filter::all().metadata("mark", mark).limit(1).with_total()).await;
        assert_eq!(marked.total, Some(FULL - 1), "all but one are written");
        let harmed = bench.whole(held[place].number()).await;
        assert_eq!((harmed.run, harmed.records.len()), (held[place].stored.run.clone(), 0));
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
    one_bad_one(bench, FULL as usize / 2).await;
}

pub async fn a_bad_update_at_the_last_place_harms_no_other<R: Repository>(bench: Bench<R>) {
    one_bad_one(bench, FULL as usize - 1).await;
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
        Update { definition: Some(Definition { list: nul(), ..known() }), ..held.keep() },
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
