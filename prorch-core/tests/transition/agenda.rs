//! What is to be done next with a run that is held: mail, then what the run can't go on with, then the step.

use prorch_core::model::{Agenda, Event, Mail, MessageId, Outcome, Status, StepRecord, StoredRun, agenda};

use crate::bench::{
    act, answer, at, claim, claimed, errored, finished, held_at, message, pending_at, plan,
    plan_with_deadline, seconds, signal, stage, text,
};

const CAP: u32 = 5;

fn next(stored: &StoredRun, now: i64) -> Agenda {
    agenda(stored, &plan(), CAP, &[], at(now))
}

#[test]
fn a_new_run_begins_with_its_first_step() {
    let expected = StepRecord::new(stage(0), text("generate"), at(0));
    assert_eq!(next(&claimed(), 3), Agenda::Call(vec![expected]), "entered when the run was claimed first");
    let Agenda::Call(records) = next(&held_at(1), 3) else { panic!() };
    assert_eq!((records[0].position, records[0].status), (stage(1), Status::Created));
}

#[test]
fn a_step_is_called_when_it_is_due() {
    let mut stored = pending_at(1);
    act(&mut stored, &plan(), answer(1, Outcome::Pending(Some(seconds(60)))), at(0));
    assert_eq!(next(&stored, 59), Agenda::Rest(Some(at(60))));
    assert!(matches!(next(&stored, 60), Agenda::Call(_)));
}

#[test]
fn a_signal_calls_the_step_that_waits_for_it_before_its_time() {
    let mut stored = pending_at(1);
    let waits = Outcome::AwaitSignal { name: text("go"), limit: Some(seconds(60)) };
    act(&mut stored, &plan(), answer(1, waits), at(0));
    stored.receive(&signal(1, "other"));
    assert_eq!(next(&stored, 5), Agenda::Rest(Some(at(60))));
    stored.receive(&signal(2, "go"));
    assert!(matches!(next(&stored, 5), Agenda::Call(_)));
    stored.inbox.remove(1);
    assert_eq!(next(&stored, 5), Agenda::Rest(Some(at(60))), "one that was taken calls nobody");
    assert!(matches!(next(&stored, 60), Agenda::Call(_)), "its time is up");
}

#[test]
fn mail_about_the_run_goes_before_everything_and_the_last_of_it_counts() {
    let mut stored = pending_at(1);
    stored.run.state.crashes = 9;
    let id = |n| Some(MessageId::from_bytes([n; 16]));
    stored.receive(&signal(1, "go"));
    stored.receive(&message(2, Mail::Pause));
    assert_eq!(next(&stored, 5), Agenda::Decide(Event::Pause { message: id(2) }));
    stored.receive(&message(3, Mail::Resume));
    assert_eq!(next(&stored, 5), Agenda::Decide(Event::Resume { message: id(3) }));
    stored.receive(&message(4, Mail::Pause));
    assert_eq!(next(&stored, 5), Agenda::Decide(Event::Pause { message: id(4) }));
}

#[test]
fn a_cancel_goes_before_what_else_is_said_about_the_run() {
    let mut stored = pending_at(1);
    stored.receive(&message(1, Mail::Pause));
    stored.receive(&message(2, Mail::Cancel { reason: text("enough") }));
    stored.receive(&message(3, Mail::Resume));
    let message = Some(MessageId::from_bytes([2; 16]));
    assert_eq!(next(&stored, 5), Agenda::Decide(Event::Cancel { reason: text("enough"), message }));
}

#[test]
fn a_run_that_does_not_fit_its_plan_is_left() {
    let left = |stored: &StoredRun| match next(stored, 5) {
        Agenda::Decide(Event::Leave(why)) => why.to_string(),
        other => panic!("{other:?}"),
    };
    let mut renamed = pending_at(1);
    renamed.records.get_mut(&stage(1)).unwrap().name = text("upload");
    assert_eq!(left(&renamed), "the run stands at step `upload`, where the pipeline has `transfer`");
    let mut beyond = claimed();
    beyond.records.insert(stage(7), StepRecord::new(stage(7), text("late"), at(0)));
    assert_eq!(left(&beyond), "the pipeline has no step at 7.0, where the run stands");
    let mut torn = held_at(2);
    act(&mut torn, &plan(), answer(2, finished()), at(0));
    torn.run.state.status = Status::Pending;
    assert_eq!(left(&torn), "the run is pending, but its last step `notify` is finished");
}

#[test]
fn the_crash_cap_fails_only_a_run_that_crashed_alone() {
    let mut stored = pending_at(1);
    for (crashes, cap, fails) in [(5, 5, true), (4, 5, false), (3, 3, true), (2, 1, false), (2, 2, false)] {
        stored.run.state.crashes = crashes;
        let decided = agenda(&stored, &plan(), cap, &[], at(5)) == Agenda::Decide(Event::Crashed(stage(1)));
        assert_eq!(decided, fails, "{crashes} crashes under a cap of {cap}");
    }
}

#[test]
fn a_deadline_goes_before_the_call_and_is_rested_until() {
    let plan = plan_with_deadline(20);
    let mut stored = claimed();
    act(&mut stored, &plan, answer(0, errored()), at(5));
    claim(&mut stored, at(19));
    assert!(matches!(agenda(&stored, &plan, CAP, &[], at(19)), Agenda::Call(_)));
    assert_eq!(agenda(&stored, &plan, CAP, &[], at(20)), Agenda::Decide(Event::Expired(stage(0))));
    let waits = Outcome::AwaitSignal { name: text("go"), limit: None };
    act(&mut stored, &plan, answer(0, waits), at(19));
    assert_eq!(agenda(&stored, &plan, CAP, &[], at(19)), Agenda::Rest(Some(at(20))));
}
