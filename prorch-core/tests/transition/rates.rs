//! Steps that are started at a rate.

use std::time::Duration;

use prorch_core::model::{
    CauseKind, Event, Guard, NewRun, Next, Outcome, Plan, Rate, Rated, RunId, StoredRun, Text, agenda,
    definition_key, transition,
};

use crate::bench::{act, answer, at, claim, claimed, errored, finished, pending_at, stage, text};

/// The three steps, each of which is started ten times a second at the most.
pub(crate) fn plan() -> Plan {
    let mut plan = crate::bench::plan();
    for stage in &mut plan.stages {
        for step in stage.steps_mut() {
            step.rate = Some(Rated::of(&step.name, Rate::new(10, Duration::from_secs(1))));
        }
    }
    plan
}

/// The rows of the chart.
pub(crate) fn rows() -> Vec<(&'static str, u32, Event)> {
    vec![("the step answers: finished, one with a rate follows", 1, answer(1, finished()))]
}

fn starts(stored: &StoredRun) -> Option<Text> {
    stored.run.state.starts.clone()
}

#[test]
fn a_run_comes_to_a_step_with_a_rate_by_being_given_back() {
    let mut stored = pending_at(0);
    let decision = transition(&stored, &plan(), answer(0, finished()), &[], at(3)).unwrap();
    assert_eq!(decision.next, Next::Wait(Some(at(3))));
    act(&mut stored, &plan(), answer(0, finished()), at(3));
    assert_eq!(starts(&stored), Some(text("rate of transfer")));
}

#[test]
fn a_step_that_has_answered_starts_nothing() {
    let mut stored = pending_at(0);
    act(&mut stored, &plan(), answer(0, finished()), at(2));
    claim(&mut stored, at(2));
    act(&mut stored, &plan(), answer(1, errored()), at(3));
    assert_eq!(starts(&stored), Some(text("rate of transfer")), "its next attempt is a start");
    claim(&mut stored, at(9));
    act(&mut stored, &plan(), answer(1, Outcome::Pending(None)), at(9));
    assert_eq!(starts(&stored), None);
}

#[test]
fn an_end_starts_nothing_and_a_retry_does() {
    let mut stored = pending_at(1);
    stored.run.state.starts = Some(text("rate of transfer"));
    act(&mut stored, &plan(), answer(1, Outcome::Failed(CauseKind::Error, text("no"))), at(3));
    assert_eq!(starts(&stored), None);
    let decision = transition(&stored, &plan(), Event::Retry, &[], at(9)).unwrap();
    decision.into_update(&stored, Guard::Idle(stored.run.epoch), at(9)).apply(&mut stored);
    assert_eq!(starts(&stored), Some(text("rate of transfer")), "it begins anew");
}

#[test]
fn what_says_nothing_of_a_step_leaves_it_as_it_is() {
    let mut stored = claimed();
    stored.run.state.starts = Some(text("rate of generate"));
    act(&mut stored, &plan(), Event::Leave(text("unknown")), at(3));
    assert_eq!(starts(&stored), Some(text("rate of generate")));
    claim(&mut stored, at(90));
    let due = agenda(&stored, &plan(), 5, &[], at(90));
    assert!(matches!(due, prorch_core::model::Agenda::Call(records) if records[0].position == stage(0)));
}

#[test]
fn what_a_schedule_starts_keeps_to_its_rate() {
    let mut plan = crate::bench::plan();
    plan.stages[0].steps_mut()[0].child_begins.starts = Some(text("rate of send"));
    let definition = definition_key("mail", ["send"]);
    let new = NewRun::new(RunId::from_bytes([3; 16]), definition, text("1"), at(0));
    let ticked = answer(0, Outcome::Ticked { starts: vec![new], next: None });
    let decision = transition(&claimed(), &plan, ticked, &[], at(1)).unwrap();
    assert_eq!(decision.starts[0].starts, Some(text("rate of send")));
}
