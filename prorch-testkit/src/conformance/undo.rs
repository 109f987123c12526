//! Runs that are undone: what is stored of that, and what is read.

use prorch_core::repository::{
    Answer, Cause, CauseKind, Compensation, Fan, Part, Position, RecordWrite, Repository, RunState, Status,
    StepRecord, Text, Undo, UndoPhase, Update,
};

use super::bench::{Bench, applied, at, position, record, request};

fn undo(phase: UndoPhase, below: Position) -> Undo {
    Undo { phase, below, cause: None }
}

pub async fn how_far_a_run_is_undone_is_kept_and_cleared<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    let cause =
        Cause { step: Some("a".into()), kind: CauseKind::Error, text: Text::from("it's \"gone\" – 🙁") };
    let all = [
        Some(undo(UndoPhase::Ending, Position::default())),
        Some(undo(UndoPhase::Undoing, position(u32::MAX >> 1, u32::MAX))),
        None,
        Some(Undo { cause: Some(cause), ..undo(UndoPhase::Stuck, position(3, 7)) }),
        Some(undo(UndoPhase::Undone, position(0, 1))),
    ];
    for undo in all {
        let cause = Some(Cause { step: None, kind: CauseKind::Undo, text: Text::from("no") });
        let state = RunState { undo: undo.map(Box::new), cause, ..held.stored.run.state.clone() };
        assert_eq!(bench.update(Update { state: Some(state.clone()), ..held.keep() }).await, applied(0));
        assert_eq!(bench.update(held.keep()).await, applied(0));
        assert_eq!(bench.row(1).await.state, state, "without a state it stays");
    }
}

pub async fn how_far_a_record_is_undone_is_kept_and_cleared<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    let full = Compensation {
        status: Status::Pending,
        attempt: 3,
        errors: 2,
        state: Some(Text::from(r#"{"text": "it's \"gone\""}"#)),
        error: Some(Text::from("the disk is full\n")),
        due_at: Some(at(9)),
        awaits: Some(Text::from("go")),
        entered_at: at(1),
        ended_at: Some(at(2)),
    };
    for undo in [Some(full), Some(Compensation::new(at(3))), None] {
        let record = StepRecord { undo: undo.map(Box::new), ..record(0, 0) };
        assert_eq!(bench.update(held.writing([RecordWrite::Changed(record.clone())])).await, applied(0));
        assert_eq!(bench.whole(1).await.records[&position(0, 0)], record);
        assert_eq!(bench.work(1).await.records[&position(0, 0)], record);
    }
}

pub async fn an_undoing_that_no_store_can_take_is_rejected<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    let nul = Some(Text::from("a\0b"));
    let new = || Compensation::new(at(0));
    let bad = [
        Compensation { state: nul.clone(), ..new() },
        Compensation { error: nul.clone(), ..new() },
        Compensation { awaits: nul, ..new() },
    ];
    for undo in bad {
        let record = StepRecord { undo: Some(Box::new(undo)), ..record(0, 0) };
        let answer = bench.update(held.writing([RecordWrite::New(record)])).await;
        assert!(matches!(answer, Answer::Rejected(_)), "{answer:?}");
    }
    assert!(bench.whole(1).await.records.is_empty());
}

/// The places that come when run `n` is read, which are those that come when it is claimed.
async fn work_places<R: Repository>(bench: &Bench<R>, n: u64, undo: Undo) -> Vec<(u32, u32)> {
    let held = bench.claim(&request(1, at(1))).await.pop().expect("the run is claimed");
    let state = RunState { undo: Some(Box::new(undo)), ..held.stored.run.state.clone() };
    let update = Update { state: Some(state), ..held.release(Some(at(1))) };
    assert_eq!(bench.update(update).await, applied(0));
    let read: Vec<_> = bench.work(n).await.records.keys().map(|at| (at.stage, at.item)).collect();
    let held = bench.claim(&request(1, at(1))).await.pop().expect("the run is claimed");
    let claimed: Vec<_> = held.stored.records.keys().map(|at| (at.stage, at.item)).collect();
    assert_eq!(claimed, read, "a claim brings the same");
    bench.update(held.release(Some(at(1)))).await;
    read
}

pub async fn work_of_a_run_that_is_undone_is_what_is_undone_next<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    let places = (0..3).map(|item| (0, item)).chain((0..40).map(|item| (1, item))).chain([(3, 0)]);
    let records = places.map(|(stage, item)| {
        RecordWrite::New(StepRecord { status: Status::Finished, ..record(stage, item) })
    });
    bench.update(Update { hold: held.release(Some(at(1))).hold, ..held.writing(records) }).await;
    let most = Part::UNDO_AT_ONCE;
    let undoing = |below| undo(UndoPhase::Undoing, below);

    let work = work_places(&bench, 1, undoing(position(4, 0))).await;
    assert_eq!(work, [(3, 0)], "the stage before has no records");
    for phase in [UndoPhase::Undoing, UndoPhase::Stuck] {
        let work = work_places(&bench, 1, undo(phase, position(3, 0))).await;
        let expected = (0..3).map(|item| (0, item)).chain((40 - most..40).map(|item| (1, item)));
        assert_eq!(work, expected.collect::<Vec<_>>(), "{phase:?}");
    }
    let work = work_places(&bench, 1, undoing(position(1, 5))).await;
    assert_eq!(work, (0..3).map(|item| (0, item)).chain((0..5).map(|item| (1, item))).collect::<Vec<_>>());
    let work = work_places(&bench, 1, undoing(position(1, 0))).await;
    assert_eq!(work, [(0, 0), (0, 1), (0, 2)]);
    assert_eq!(work_places(&bench, 1, undoing(position(0, 0))).await, []);
    for phase in [UndoPhase::Ending, UndoPhase::Undone] {
        let work = work_places(&bench, 1, undo(phase, Position::default())).await;
        assert_eq!(work, [(3, 0)], "{phase:?}: as of any other run");
    }
    stand_among_many(&bench).await;
    let work = work_places(&bench, 1, undoing(position(2, 0))).await;
    let expected = (0..3).map(|item| (0, item)).chain((40 - most..40).map(|item| (1, item)));
    assert_eq!(work, expected.collect::<Vec<_>>(), "also where it stands among many");
}

pub async fn of_the_stage_before_the_first_eight_come<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    let places = (0..30).map(|item| (0, item)).chain([(1, 0)]);
    let records = places.map(|(stage, item)| RecordWrite::New(record(stage, item)));
    bench.update(Update { hold: held.release(Some(at(1))).hold, ..held.writing(records) }).await;
    let work = work_places(&bench, 1, undo(UndoPhase::Undoing, position(2, 0))).await;
    assert_eq!(work, (0..Part::WORK_BEFORE).map(|item| (0, item)).chain([(1, 0)]).collect::<Vec<_>>());
}

async fn stand_among_many<R: Repository>(bench: &Bench<R>) {
    let held = bench.claim(&request(1, at(1))).await.pop().expect("the run is claimed");
    let fan = Some(Fan { stage: 1, width: Some(40), entered: 40, finished: 40, low: 40 });
    let state = RunState { fan, ..held.stored.run.state.clone() };
    bench.update(Update { state: Some(state), ..held.release(Some(at(1))) }).await;
}
