//! A new run that takes over what another one has finished: where it begins, and why it may not.

use prorch_core::model::{
    Agenda, Fan, MAX_TAKEN_BYTES, MAX_TAKEN_RECORDS, NewRun, NoRestart, Origin, Part, Plan, Position,
    Restart, RunId, Status, StepRecord, StoredRun, Text, agenda,
};

use crate::bench::{at, claim, created, pending_at, plan, seconds, text};
use crate::stages::{come_to, member, wide};

fn new_id() -> RunId {
    RunId::from_bytes([8; 16])
}

/// The run as it is after it ended like this.
fn ended(mut stored: StoredRun, status: Status) -> StoredRun {
    stored.run.state.status = status;
    stored.run.lease = None;
    stored
}

/// Restarts a run whose records are read two at a time.
fn restart(old: &StoredRun, plan: &Plan, step: Option<&str>) -> Result<NewRun, NoRestart> {
    let mut restart = Restart::of(&old.part(Part::Work), plan, step, new_id(), at(100))?;
    let mut from = Some(Position::default());
    while let Some(first) = from {
        from = restart.take(old.part(Part::Records { from: first, limit: 2 }).records.into_values())?;
    }
    Ok(restart.into_new(|new| new))
}

fn places(new: &NewRun) -> Vec<(u32, u32)> {
    new.records.iter().map(|record| (record.position.stage, record.position.item)).collect()
}

/// The new run, claimed when it is due.
fn begun(new: NewRun) -> StoredRun {
    let mut stored = StoredRun::new(new);
    let due = stored.run.due_at.unwrap();
    claim(&mut stored, due);
    stored
}

#[test]
fn it_begins_at_the_step_as_one_that_has_just_come_there() {
    let mut old = ended(pending_at(2), Status::Failed);
    (old.run.priority, old.run.key) = (2, Some(text("k")));
    old.run.state.metadata.insert("who".into(), "me".into());
    let new = restart(&old, &plan(), Some("transfer")).unwrap();
    assert_eq!(new.records[0], old.records[&Position::of_stage(0)], "what has finished is taken over whole");
    let fresh = StepRecord::new(Position::of_stage(1), text("transfer"), at(100));
    assert_eq!(new.records[1..], [fresh], "the step begins anew");
    assert_eq!(new.origin, Some(Origin { run: old.run.id, step: text("transfer") }));
    assert_eq!((new.id, &new.input, &new.definition), (new_id(), &old.run.input, &old.run.definition));
    assert_eq!((new.priority, new.key.as_ref(), new.parent), (2, None, None));
    assert_eq!(new.metadata, old.run.state.metadata);
    let stored = begun(new);
    match agenda(&stored, &plan(), 5, &[], at(100)) {
        Agenda::Call(records) => assert_eq!(records, [stored.records[&Position::of_stage(1)].clone()]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn from_the_first_step_nothing_is_taken_over() {
    for step in [None, Some("generate")] {
        let new = restart(&ended(pending_at(1), Status::Cancelled), &plan(), step).unwrap();
        assert_eq!((places(&new), new.fan), (vec![], None));
        assert_eq!(new.origin.unwrap().step, "generate");
    }
}

#[test]
fn one_that_is_to_wait_counts_the_time_of_its_step_from_when_it_is_due() {
    let (old, plan) = (ended(pending_at(1), Status::Failed), plan());
    let restart = Restart::of(&old, &plan, Some("transfer"), new_id(), at(100)).unwrap();
    let new = restart.into_new(|new| NewRun { due_at: new.due_at + seconds(50), ..new });
    assert_eq!((new.created_at, new.due_at), (at(100), at(150)));
    assert_eq!((new.records[0].entered_at, new.records[0].due_at), (at(150), Some(at(150))));
}

#[test]
fn a_member_of_a_group_begins_with_the_whole_group() {
    let old = ended(come_to(3), Status::Failed);
    for step in ["b", "c"] {
        let new = restart(&old, &wide(), Some(step)).unwrap();
        assert_eq!(places(&new), [(0, 0), (1, 0), (1, 1)]);
        assert!(new.records[1..].iter().all(|record| record.status == Status::Created), "{:?}", new.records);
        assert_eq!(new.fan, Some(Fan { stage: 1, width: Some(2), entered: 2, finished: 0, low: 0 }));
        match agenda(&begun(new), &wide(), 5, &[], at(100)) {
            Agenda::Call(records) => assert_eq!(records.len(), 2),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_each_begins_with_its_list() {
    let new = restart(&ended(come_to(3), Status::Failed), &wide(), Some("d")).unwrap();
    assert_eq!(places(&new), [(0, 0), (1, 0), (1, 1)]);
    assert_eq!(new.fan, Some(Fan { stage: 2, width: None, entered: 0, finished: 0, low: 0 }));
    let stored = begun(new);
    assert_eq!(stored.stage(), 2);
    assert_eq!(agenda(&stored, &wide(), 5, &[], at(100)), Agenda::Open);
}

#[test]
fn what_an_each_has_finished_is_taken_over() {
    let new = restart(&ended(come_to(3), Status::Failed), &wide(), Some("archive")).unwrap();
    assert_eq!(places(&new), [(0, 0), (1, 0), (1, 1), (2, 0), (3, 0)]);
    assert_eq!(new.fan, None, "a step alone");
    assert_eq!(begun(new).stage(), 3);
}

#[test]
fn one_that_has_not_ended_is_not_restarted() {
    for (old, status) in [(created(), Status::Created), (pending_at(1), Status::Pending)] {
        assert_eq!(restart(&old, &plan(), None), Err(NoRestart::Open(status)));
    }
    for status in [Status::Finished, Status::Failed, Status::Cancelled] {
        assert!(restart(&ended(pending_at(1), status), &plan(), Some("transfer")).is_ok(), "{status}");
    }
}

#[test]
fn a_step_that_the_run_has_not_come_to_is_refused_with_the_one_that_is_in_the_way() {
    let why = |old: StoredRun, plan: &Plan, step: &str| restart(&old, plan, Some(step)).unwrap_err();
    let unfinished =
        |step: &str, before: &str| NoRestart::NotFinished { step: text(step), unfinished: text(before) };
    let never_begun = ended(created(), Status::Cancelled);
    assert_eq!(why(never_begun, &plan(), "transfer"), unfinished("transfer", "generate"));
    let old = ended(pending_at(1), Status::Failed);
    assert_eq!(why(old, &plan(), "notify"), unfinished("notify", "transfer"));
    let old = ended(come_to(1), Status::Failed);
    assert_eq!(why(old, &wide(), "e"), unfinished("e", "b"));
    let old = ended(come_to(2), Status::Failed);
    assert_eq!(why(old, &wide(), "archive"), unfinished("archive", "d"), "its list was not counted");
    let mut torn = ended(pending_at(2), Status::Failed);
    torn.records.get_mut(&Position::of_stage(0)).unwrap().status = Status::Failed;
    assert_eq!(why(torn, &plan(), "notify"), unfinished("notify", "generate"), "whatever the run says");
}

#[test]
fn a_step_that_is_not_there_is_told_with_those_that_are() {
    let why = restart(&ended(pending_at(1), Status::Failed), &plan(), Some("Transfer")).unwrap_err();
    assert_eq!(why.to_string(), "its pipeline has no step `Transfer`, only `generate`, `transfer`, `notify`");
}

/// Takes over so many finished items with so many bytes each.
fn take_many(items: usize, bytes: usize) -> Result<usize, NoRestart> {
    let old = ended(come_to(3), Status::Failed);
    let plan = wide();
    let mut restart = Restart::of(&old, &plan, Some("archive"), new_id(), at(0)).unwrap();
    let output = Text::from("1".repeat(bytes));
    let items = (0..items).map(|item| StepRecord {
        status: Status::Finished,
        output: Some(output.clone()),
        ..StepRecord::new(member(2, item as u32), text("d"), at(0))
    });
    restart.take(items)?;
    Ok(restart.into_new(|new| new).records.len() - 1)
}

#[test]
fn there_is_an_end_to_what_is_taken_over() {
    assert_eq!(take_many(MAX_TAKEN_RECORDS, 1), Ok(MAX_TAKEN_RECORDS));
    assert_eq!(take_many(MAX_TAKEN_RECORDS + 1, 1), Err(NoRestart::TooMuch(text("archive"))));
    assert_eq!(take_many(64, MAX_TAKEN_BYTES / 64), Ok(64));
    assert_eq!(take_many(65, MAX_TAKEN_BYTES / 64), Err(NoRestart::TooMuch(text("archive"))));
}
