//! What is said from outside, and what the engine finds by itself: cancel, pause, resume, retry, deadline, crashes.

use prorch_core::model::{
    Answer, CauseKind, Event, Guard, Hold, Mail, MessageId, Next, Outcome, Status, StoredRun, transition,
};

use crate::bench::{
    act, answer, at, claim, created, decide, ended, errored, finished, held_at, holder, message, pending_at,
    plan, plan_with_deadline, record, release, seconds, signal, stage, statuses, text,
};

fn cancel() -> Event {
    Event::Cancel { reason: text("enough"), message: None }
}

#[test]
fn a_cancel_ends_the_run_and_the_step_that_it_is_at() {
    let mut stored = pending_at(1);
    assert_eq!(act(&mut stored, &plan(), cancel(), at(5)), Next::End);
    let cause = stored.run.state.cause.clone().unwrap();
    assert_eq!((cause.kind, cause.step, cause.text), (CauseKind::Cancelled, None, text("enough")));
    assert_eq!(statuses(&stored), [Status::Finished, Status::Cancelled], "what ended stays what it is");
    assert_eq!((record(&stored, 1).ended_at, stored.run.due_at), (Some(at(5)), None));
}

#[test]
fn a_cancel_of_an_idle_run_needs_no_claim_and_keeps_claimers_out() {
    let mut stored = created();
    let read = stored.clone();
    assert_eq!(act(&mut stored, &plan(), cancel(), at(5)), Next::End);
    assert!(stored.records.is_empty());
    let lease = prorch_core::model::Lease::new(holder(), at(5), seconds(30));
    assert_eq!(read.run.claim(lease, at(5)).apply(&mut stored), Answer::Stale);
}

#[test]
fn a_cancel_that_comes_while_the_last_answer_is_in_hand_is_too_late() {
    let mut stored = held_at(2);
    stored.receive(&message(1, Mail::Cancel { reason: text("enough") }));
    act(&mut stored, &plan(), answer(2, finished()), at(5));
    assert_eq!(stored.run.status(), Status::Finished);
    let refusal = transition(&stored, &plan(), cancel(), &[], at(6)).unwrap_err();
    assert_eq!(refusal.to_string(), "a run that is finished can't be cancelled");
}

#[test]
fn a_step_that_cancels_is_the_cause() {
    let mut stored = held_at(1);
    act(&mut stored, &plan(), answer(1, Outcome::Cancelled(text("nothing to do"))), at(5));
    let cause = stored.run.state.cause.clone().unwrap();
    assert_eq!((stored.run.status(), cause.step), (Status::Cancelled, Some(text("transfer"))));
    assert_eq!(record(&stored, 1).error, Some(text("nothing to do")));
}

#[test]
fn a_pause_stops_claims_and_a_resume_goes_on_where_it_was() {
    let mut stored = held_at(1);
    act(&mut stored, &plan(), answer(1, Outcome::Pending(Some(seconds(60)))), at(0));
    assert_eq!(act(&mut stored, &plan(), Event::Pause { message: None }, at(5)), Next::Wait(Some(at(60))));
    assert!(stored.run.state.paused);
    assert!(!stored.run.is_due(at(1_000)), "a paused run is not due");
    act(&mut stored, &plan(), Event::Resume { message: None }, at(1_000));
    assert!(!stored.run.state.paused);
    assert!(stored.run.is_due(at(1_000)), "what came due meanwhile is due now");
    assert_eq!(stored.run.due_at, Some(at(60)));
}

#[test]
fn a_pause_of_a_run_that_was_not_looked_at_yet_keeps_its_time() {
    let mut stored = created();
    stored.run.due_at = Some(at(500));
    act(&mut stored, &plan(), Event::Pause { message: None }, at(5));
    act(&mut stored, &plan(), Event::Resume { message: None }, at(6));
    assert_eq!((stored.run.status(), stored.run.due_at), (Status::Created, Some(at(500))));
}

#[test]
fn a_signal_that_came_before_a_pause_is_not_slept_through() {
    let mut stored = pending_at(1);
    let waits = Outcome::AwaitSignal { name: text("go"), limit: None };
    act(&mut stored, &plan(), answer(1, waits), at(0));
    act(&mut stored, &plan(), Event::Pause { message: None }, at(1));
    assert_eq!(stored.run.due_at, None, "none is there yet");
    stored.receive(&signal(1, "go"));
    act(&mut stored, &plan(), Event::Resume { message: None }, at(9));
    assert_eq!(stored.run.due_at, Some(at(9)));
}

#[test]
fn a_control_message_is_taken_by_what_it_causes() {
    let id = |n| MessageId::from_bytes([n; 16]);
    let mut stored = pending_at(1);
    stored.receive(&message(1, Mail::Resume));
    stored.receive(&message(2, Mail::Pause));
    for (event, taken) in [
        (Event::Pause { message: Some(id(2)) }, vec![id(1)]),
        (Event::Resume { message: Some(id(1)) }, vec![id(1), id(2)]),
        (Event::Cancel { reason: text(""), message: Some(id(2)) }, vec![id(2)]),
    ] {
        assert_eq!(decide(&stored, &plan(), event.clone(), at(5)).taken, taken, "{event:?}");
    }
}

#[test]
fn a_pause_waits_in_the_inbox_for_its_resume_and_wakes_nobody() {
    let mut stored = held_at(1);
    stored.receive(&message(1, Mail::Pause));
    let pause = decide(&stored, &plan(), Event::Pause { message: None }, at(5));
    let update = pause.into_update(&stored, Guard::Held(stored.run.epoch, holder()), at(5));
    assert!(matches!(update.hold, Hold::Release { seen: 1, .. }), "{update:?}");
    assert!(matches!(update.apply(&mut stored), Answer::Applied { .. }));
    assert!(stored.run.state.paused && stored.untaken().count() == 1);
    act(&mut stored, &plan(), Event::Resume { message: None }, at(6));
    assert!(!stored.run.state.paused && stored.untaken().count() == 0);
}

#[test]
fn a_run_is_not_paused_before_all_is_seen_that_came_for_it() {
    for mail in [Mail::Resume, Mail::Cancel { reason: text("enough") }] {
        let mut stored = held_at(1);
        stored.receive(&message(1, Mail::Pause));
        let pause = decide(&stored, &plan(), Event::Pause { message: None }, at(5));
        let update = pause.into_update(&stored, Guard::Held(stored.run.epoch, holder()), at(5));
        stored.receive(&message(2, mail.clone()));
        assert!(matches!(update.apply(&mut stored), Answer::Applied { .. }));
        assert!(stored.run.is_due(at(5)) && !stored.run.state.paused, "{mail:?} would wait there for good");
    }
}

/// Fails the second step like this, and lets the run be retried.
fn retried(mut stored: StoredRun, event: Event) -> StoredRun {
    let plan = plan_with_deadline(50);
    act(&mut stored, &plan, event, at(5));
    assert_eq!((stored.run.status(), stored.run.lease), (Status::Failed, None));
    assert_eq!(act(&mut stored, &plan, Event::Retry, at(9)), Next::Wait(Some(at(9))));
    let state = &stored.run.state;
    assert_eq!((state.status, state.cause.clone(), state.ended_at), (Status::Pending, None, None));
    assert_eq!((state.crashes, stored.run.due_at), (0, Some(at(9))));
    let again = record(&stored, 1);
    assert_eq!((again.attempt, again.errors, again.error.clone()), (1, 0, None));
    assert_eq!(
        (again.entered_at, again.due_at, again.ended_at),
        (at(9), Some(at(9)), None),
        "its deadline counts anew"
    );
    stored
}

#[test]
fn a_retry_goes_on_where_the_step_was() {
    let begun = || {
        let mut stored = pending_at(1);
        stored.records.get_mut(&stage(1)).unwrap().state = Some(text("{\"job\":1}"));
        stored
    };
    let mut erred = begun();
    act(&mut erred, &plan(), answer(1, errored()), at(0));
    claim(&mut erred, at(4));
    for (stored, event) in [
        (erred, answer(1, errored())),
        (begun(), Event::Expired(stage(1))),
        (begun(), Event::Crashed(stage(1))),
    ] {
        let stored = retried(stored, event.clone());
        let again = record(&stored, 1);
        assert_eq!(
            (again.status, again.state.clone()),
            (Status::Pending, Some(text("{\"job\":1}"))),
            "{event:?}"
        );
        assert_eq!(record(&stored, 0).status, Status::Finished);
    }
}

#[test]
fn a_retry_begins_anew_what_said_itself_that_it_cannot_be_done() {
    let failed = || answer(1, Outcome::Failed(CauseKind::Error, text("gone")));
    for (stored, event) in
        [(pending_at(1), failed()), (held_at(1), failed()), (held_at(1), Event::Expired(stage(1)))]
    {
        let stored = retried(stored, event.clone());
        let again = record(&stored, 1);
        assert_eq!((again.status, again.state.clone()), (Status::Created, None), "{event:?}");
    }
}

#[test]
fn a_retry_drops_waiting_cancels_and_keeps_signals() {
    let mut stored = held_at(1);
    stored.receive(&message(1, Mail::Cancel { reason: text("enough") }));
    stored.receive(&signal(2, "go"));
    let stored = retried(stored, answer(1, Outcome::Failed(CauseKind::Error, text("gone"))));
    let left: Vec<_> = stored.untaken().map(|message| message.id).collect();
    assert_eq!(left, [MessageId::from_bytes([2; 16])]);
}

#[test]
fn only_a_failed_run_is_retried() {
    for status in [Status::Finished, Status::Cancelled] {
        let refusal = transition(&ended(status), &plan(), Event::Retry, &[], at(9)).unwrap_err();
        assert_eq!(refusal.to_string(), format!("a run that is {status} can't be retried"));
    }
    assert!(transition(&pending_at(0), &plan(), Event::Retry, &[], at(9)).is_err());
}

#[test]
fn a_deadline_and_the_crash_cap_say_what_happened() {
    let plan = plan_with_deadline(20);
    let mut late = pending_at(1);
    act(&mut late, &plan, answer(1, errored()), at(5));
    act(&mut late, &plan, Event::Expired(stage(1)), at(20));
    let cause = late.run.state.cause.unwrap();
    assert_eq!(cause.kind, CauseKind::Deadline);
    assert_eq!(
        cause.text,
        "the step did not end within its deadline of 20s; its last error: the disk is full"
    );
    let mut crashed = pending_at(1);
    crashed.run.state.crashes = 5;
    act(&mut crashed, &plan, Event::Crashed(stage(1)), at(5));
    let cause = crashed.run.state.cause.unwrap();
    assert_eq!((cause.kind, cause.step), (CauseKind::Crash, Some(text("transfer"))));
    assert!(cause.text.starts_with("5 calls in a row were cut off"), "{}", cause.text);
}

#[test]
fn a_run_that_is_left_says_why_and_is_looked_at_again() {
    let mut stored = pending_at(1);
    assert_eq!(
        act(&mut stored, &plan(), Event::Leave(text("no such step")), at(5)),
        Next::Wait(Some(at(65)))
    );
    assert_eq!(
        (stored.run.status(), stored.run.state.stuck.clone()),
        (Status::Pending, Some(text("no such step")))
    );
    claim(&mut stored, at(65));
    assert_eq!((stored.run.state.stuck.clone(), stored.run.state.crashes), (None, 0));
}

#[test]
fn mail_about_the_run_that_a_decision_leaves_behind_makes_it_due_at_once() {
    let mut stored = held_at(1);
    stored.receive(&signal(1, "other"));
    stored.receive(&message(2, Mail::Pause));
    let poll = decide(&stored, &plan(), answer(1, Outcome::Pending(Some(seconds(60)))), at(5));
    let update = poll.into_update(&stored, Guard::Held(stored.run.epoch, holder()), at(5));
    assert_eq!(update.hold, Hold::Release { due_at: Some(at(65)), seen: 1 });
    assert!(matches!(update.apply(&mut stored), Answer::Applied { .. }));
    assert_eq!(stored.run.due_at, Some(at(5)));
    release(&mut stored, None);
    assert_eq!(stored.run.due_at, None, "what is seen is not called for again");
}

#[test]
fn a_pause_and_a_resume_forget_no_call_that_was_cut_off() {
    let mut stored = held_at(1);
    let after_the_lease = at(1_000);
    act_idle(&mut stored, Event::Pause { message: None }, after_the_lease);
    assert_eq!((stored.run.lease, stored.run.state.crashes), (None, 1), "who held it died in a call");
    act_idle(&mut stored, Event::Resume { message: None }, after_the_lease);
    assert_eq!(stored.run.state.crashes, 1, "it is counted once");
}

/// Lets an event happen to a run that nobody holds any more.
fn act_idle(stored: &mut StoredRun, event: Event, now: prorch_core::model::Timestamp) {
    let decision = transition(stored, &plan(), event, &[], now).unwrap();
    let update = decision.into_update(stored, Guard::Idle(stored.run.epoch), now);
    assert!(matches!(update.apply(stored), Answer::Applied { .. }));
}
