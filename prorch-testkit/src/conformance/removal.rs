//! What has ended can be removed, whole or in pieces, and nothing else can.

use prorch_core::repository::{
    Answer, Epoch, Guard, Hold, Mail, Message, NewRun, Part, RecordWrite, Removal, Repository, Run, Saved,
    Status, Text, Update,
};

use super::bench::{
    Bench, NONE, applied, at, ended, id, message_id, new_run, number, post, record, request, signal,
};

const ALL: Removal = Removal::UpTo { rows: 1_000, bytes: 1 << 20 };

/// The removal of a run as it was read.
fn remove(run: &Run, removal: Removal) -> Update {
    let hold = Hold::Release { due_at: None, seen: run.inbox_seq };
    Update { removal: Some(removal), ..Update::new(run.id, Guard::Idle(run.epoch), hold, at(100)) }
}

/// A run that ended, with a key, a long input, so many records of ten bytes, a message that was taken and one that was not.
async fn full<R: Repository>(bench: &Bench<R>, n: u64, records: u32) -> Run {
    let input = Text::from(format!("\"{}\"", "i".repeat(5_000)));
    bench.save([NewRun { key: Some(Text::from("k")), input, ..new_run(n) }]).await;
    let held = bench.take(n, super::bench::worker(1), at(0)).await;
    bench.post(n, signal(7)).await;
    bench.post(n, signal(8)).await;
    let mut update = held.writing((0..records).map(|item| {
        let (state, output) = (Some(Text::from("1234")), Some(Text::from("567890")));
        RecordWrite::New(prorch_core::repository::StepRecord { state, output, ..record(0, item) })
    }));
    update.taken = vec![message_id(7)];
    update.state = Some(ended(&held.stored.run, Status::Finished));
    update.hold = Hold::Release { due_at: None, seen: 2 };
    assert_eq!(bench.update(update).await, applied(2));
    bench.row(n).await
}

async fn records_of<R: Repository>(bench: &Bench<R>, n: u64) -> Vec<u32> {
    bench.whole(n).await.records.keys().map(|position| position.item).collect()
}

pub async fn a_run_goes_with_all_that_hung_on_it<R: Repository>(bench: Bench<R>) {
    let run = full(&bench, 1, 3).await;
    bench.save([new_run(2)]).await;
    assert_eq!(bench.update(remove(&run, ALL)).await, Answer::Removed);
    assert_eq!(bench.get(1, Part::Row).await, None);
    assert_eq!(bench.find(&Default::default()).await, [2], "the others are as they were");
    assert_eq!(bench.update(remove(&run, ALL)).await, Answer::Closed, "sent again");
    assert_eq!(bench.post(1, signal(9)).await, Answer::Closed);
    let ahead = Update { posts: vec![post(1, signal(9))], ..Update::post(id(2), signal(10)) };
    assert_eq!(bench.update(ahead).await, applied(0), "what rides on another's update is dropped");
}

pub async fn its_id_and_its_key_are_free_and_nothing_is_left<R: Repository>(bench: Bench<R>) {
    let run = full(&bench, 1, 3).await;
    let again = NewRun { key: Some(Text::from("k")), ..new_run(2) };
    assert_eq!(bench.save([again.clone()]).await, [Saved::Known(id(1))]);
    assert_eq!(bench.update(remove(&run, ALL)).await, Answer::Removed);
    assert_eq!(bench.save([again, new_run(1)]).await, [Saved::New, Saved::New]);
    let held = bench.claim(&request(2, at(1))).await;
    let new = held.iter().find(|held| held.number() == 1).expect("it is claimed");
    assert_eq!((new.stored.records.len(), new.stored.inbox.len()), (0, 0));
    assert_eq!(bench.post(1, signal(7)).await, applied(1), "no mark is left of one that was taken");
}

pub async fn one_that_has_not_ended_stays<R: Repository>(bench: Bench<R>) {
    bench.save([new_run(1)]).await;
    let held = bench.held(2).await;
    assert_eq!(bench.update(held.release(Some(at(1)))).await, applied(0));
    for n in [1, 2] {
        for removal in [Removal::Seal, ALL] {
            let before = bench.whole(n).await;
            let answer = bench.update(remove(&before.run, removal)).await;
            assert!(matches!(answer, Answer::Rejected(_)), "run {n}, {removal:?}: {answer:?}");
            assert_eq!(bench.whole(n).await, before, "run {n}, {removal:?}");
        }
    }
}

pub async fn a_late_removal_removes_nothing<R: Repository>(bench: Bench<R>) {
    let run = full(&bench, 1, 1).await;
    let before = bench.whole(1).await;
    for removal in [Removal::Seal, ALL] {
        let late = Update { guard: Guard::Idle(Epoch(run.epoch.0 - 1)), ..remove(&run, removal) };
        assert_eq!(bench.update(late).await, Answer::Stale, "{removal:?}");
        assert_eq!(bench.whole(1).await, before, "{removal:?}");
    }
}

pub async fn a_removal_does_nothing_else<R: Repository>(bench: Bench<R>) {
    let run = full(&bench, 1, 1).await;
    let before = bench.whole(1).await;
    let plain = remove(&run, ALL);
    let resumed = Message::new(message_id(9), Mail::Resume, at(1));
    for update in [
        Update { posts: vec![post(1, resumed)], ..plain.clone() },
        Update { starts: vec![new_run(2)], ..plain.clone() },
        Update { state: Some(run.state.clone()), ..plain.clone() },
        Update { guard: Guard::Post, ..plain.clone() },
        Update { guard: Guard::Held(run.epoch, super::bench::worker(1)), ..plain },
    ] {
        let answer = bench.update(update.clone()).await;
        assert!(matches!(answer, Answer::Rejected(_)), "{update:?}: {answer:?}");
        assert_eq!(bench.whole(1).await, before);
    }
    assert_eq!(bench.get(2, Part::Row).await, None);
}

pub async fn a_seal_keeps_all_and_raises_the_epoch<R: Repository>(bench: Bench<R>) {
    let run = full(&bench, 1, 2).await;
    bench.ended(2, Status::Failed).await;
    assert_eq!(bench.update(remove(&run, Removal::Seal)).await, applied(2));
    let sealed = bench.row(1).await;
    assert_eq!(sealed, Run { sealed: true, epoch: run.epoch.next(), ..run.clone() });
    assert_eq!(records_of(&bench, 1).await, [0, 1]);
    let found = |sealed| prorch_core::repository::Filter { sealed: Some(sealed), ..Default::default() };
    assert_eq!((bench.find(&found(true)).await, bench.find(&found(false)).await), (vec![1], vec![2]));
    let retried = prorch_core::repository::RunState { status: Status::Pending, ..run.state.clone() };
    let revive = Update { state: Some(retried), removal: None, ..remove(&sealed, Removal::Seal) };
    assert_eq!(bench.update(revive).await, Answer::Closed, "nothing happens to it any more");
    assert_eq!(bench.row(1).await, sealed);
    let claimed = bench.claimed(&request(10, at(1_000))).await;
    assert_eq!(claimed, NONE);
    assert_eq!(bench.update(remove(&sealed, ALL)).await, Answer::Removed);
}

pub async fn a_run_with_many_records_goes_in_pieces<R: Repository>(bench: Bench<R>) {
    let mut run = full(&bench, 1, 10).await;
    for (rows, left) in [(4, &[4, 5, 6, 7, 8, 9][..]), (5, &[9])] {
        assert_eq!(bench.update(remove(&run, Removal::UpTo { rows, bytes: 1 << 20 })).await, applied(2));
        assert_eq!(records_of(&bench, 1).await, left);
        let next = bench.row(1).await;
        assert_eq!(next, Run { sealed: true, epoch: run.epoch.next(), ..run });
        run = next;
    }
    let two = Removal::UpTo { rows: 2, bytes: 1 << 20 };
    assert_eq!(bench.update(remove(&run, two)).await, applied(2), "a message or a mark is left");
    assert_eq!(records_of(&bench, 1).await, [0; 0]);
    let run = bench.row(1).await;
    assert_eq!(
        bench.save([NewRun { key: Some(Text::from("k")), ..new_run(2) }]).await,
        [Saved::Known(id(1))]
    );
    assert_eq!(bench.update(remove(&run, two)).await, Answer::Removed);
    assert_eq!(bench.get(1, Part::Row).await, None);
}

pub async fn a_run_with_much_payload_goes_in_pieces<R: Repository>(bench: Bench<R>) {
    let run = full(&bench, 1, 5).await;
    let answer = bench.update(remove(&run, Removal::UpTo { rows: 100, bytes: 15 })).await;
    assert_eq!(answer, applied(2));
    assert_eq!(records_of(&bench, 1).await, [2, 3, 4], "ten bytes, and ten");
    let run = bench.row(1).await;
    let answer = bench.update(remove(&run, Removal::UpTo { rows: 100, bytes: 30 })).await;
    assert_eq!(answer, Answer::Removed, "the last record may fill it");
}

pub async fn many_are_removed_in_one_batch<R: Repository>(bench: Bench<R>) {
    let mut runs = Vec::new();
    for n in 1..=20 {
        runs.push(bench.ended(n, Status::Cancelled).await);
    }
    let late = Run { epoch: Epoch(9), ..runs[4].clone() };
    runs[4] = late;
    let answers = bench.batch(runs.iter().map(|run| remove(run, ALL))).await;
    for (run, answer) in runs.iter().zip(answers) {
        let expected = if number(run.id) == 5 { Answer::Stale } else { Answer::Removed };
        assert_eq!(answer, expected, "run {}", number(run.id));
    }
    assert_eq!(bench.find(&Default::default()).await, [5]);
}
