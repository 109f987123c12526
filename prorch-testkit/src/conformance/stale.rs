//! What is late changes nothing, neither at its run nor anywhere else.

use prorch_core::repository::{
    Answer, Child, Compensation, Epoch, Fan, Guard, Hold, Lease, Mail, Message, NewRun, Parent, Part,
    RecordWrite, Repository, RunState, Status, Undo, UndoPhase, Update,
};

use super::bench::{
    Bench, Held, LEASE, applied, at, id, message_id, new_run, position, post, record, signal, worker,
};

/// A run with a record and a message that was claimed anew, another that waits, and the first one's claim.
async fn scene<R: Repository>(bench: &Bench<R>) -> Held {
    bench.save([new_run(2)]).await;
    bench.take(2, worker(3), at(0)).await;
    let held = bench.held(1).await;
    bench.update(held.writing([RecordWrite::New(record(0, 0)), RecordWrite::New(record(1, 0))])).await;
    assert_eq!(bench.post(1, signal(7)).await, applied(1));
    held
}

/// An update under this guard that would change everything that an update can.
fn everything(guard: Guard, hold: Hold) -> Update {
    let parent = Some(Parent { run: id(1), position: position(0, 0) });
    let ended =
        Mail::Ended { position: position(0, 0), child: id(1), status: Status::Finished, reason: None };
    let ended = Message::new(message_id(9), ended, at(1));
    let mut changed = record(0, 0);
    changed.child = Some(Child { run: id(3), generation: 0 });
    changed.status = Status::Finished;
    changed.output = Some("9".into());
    changed.undo = Some(Box::new(Compensation::new(at(9))));
    Update {
        state: Some(RunState {
            status: Status::Pending,
            output: Some("9".into()),
            cause: None,
            metadata: [("late".to_owned(), true.into())].into(),
            paused: true,
            crashes: 9,
            stuck: Some("late".into()),
            fan: Some(Fan { stage: 0, width: Some(2), entered: 2, finished: 1, low: 1 }),
            starts: None,
            undo: Some(Box::new(Undo { phase: UndoPhase::Undoing, below: position(9, 9), cause: None })),
            started_at: Some(at(9)),
            ended_at: None,
        }),
        definition: Some(super::bench::definition("backup", 9)),
        records: vec![RecordWrite::Changed(changed), RecordWrite::New(record(2, 0))],
        removed: vec![position(1, 0)],
        taken: vec![message_id(7)],
        posts: vec![post(1, signal(8)), post(2, ended)],
        starts: vec![NewRun { key: Some("1/0.0/0".into()), parent, ..new_run(3) }],
        ..Update::new(id(1), guard, hold, at(1))
    }
}

/// Sends it in every form of `hold`, and sees that nothing is written anywhere.
async fn assert_changes_nothing<R: Repository>(bench: &Bench<R>, guard: Guard) {
    let before = (bench.whole(1).await, bench.whole(2).await);
    let holds = [
        Hold::Keep,
        Hold::Claim(Lease::new(worker(9), at(1), LEASE)),
        Hold::Release { due_at: Some(at(2)), seen: 0 },
    ];
    for hold in holds {
        assert_eq!(bench.update(everything(guard, hold)).await, Answer::Stale, "{guard:?} {hold:?}");
        assert_eq!((bench.whole(1).await, bench.whole(2).await), before, "{guard:?} {hold:?}");
        assert_eq!(bench.get(3, Part::Row).await, None, "{guard:?} {hold:?}");
    }
}

pub async fn a_late_worker_changes_nothing_at_another_epoch<R: Repository>(bench: Bench<R>) {
    let held = scene(&bench).await;
    let Epoch(epoch) = held.stored.run.epoch;
    assert_changes_nothing(&bench, Guard::Held(Epoch(epoch - 1), held.holder)).await;
}

pub async fn a_late_worker_changes_nothing_as_another_holder<R: Repository>(bench: Bench<R>) {
    let held = scene(&bench).await;
    assert_changes_nothing(&bench, Guard::Held(held.stored.run.epoch, worker(2))).await;
}

pub async fn a_late_worker_changes_nothing_after_its_release<R: Repository>(bench: Bench<R>) {
    let held = scene(&bench).await;
    assert_eq!(bench.update(held.release(None)).await, applied(1));
    assert_changes_nothing(&bench, held.guard()).await;
}

pub async fn a_late_reader_changes_nothing<R: Repository>(bench: Bench<R>) {
    let held = scene(&bench).await;
    assert_changes_nothing(&bench, Guard::Idle(held.stored.run.epoch)).await;
    assert_eq!(bench.update(held.release(Some(at(60)))).await, applied(1));
    assert_changes_nothing(&bench, Guard::Idle(Epoch(held.stored.run.epoch.0 - 1))).await;
}

pub async fn a_post_touches_nothing_but_the_inbox<R: Repository>(bench: Bench<R>) {
    let held = scene(&bench).await;
    let before = bench.whole(1).await;
    let hold = Hold::Release { due_at: Some(at(2)), seen: 0 };
    assert_eq!(bench.update(everything(Guard::Post, hold)).await, applied(2));
    let after = bench.whole(1).await;
    assert_eq!(after.records, before.records);
    assert_eq!((&after.run.state, after.run.lease), (&before.run.state, before.run.lease));
    assert_eq!((after.run.epoch, after.run.due_at), (before.run.epoch, before.run.due_at));
    assert_eq!(after.untaken.len(), 2, "neither is a message taken");
    assert_eq!(bench.get(3, Part::Row).await, None, "nor a run started");
    assert_eq!(bench.update(held.keep()).await, applied(2), "the holder goes on");
}
