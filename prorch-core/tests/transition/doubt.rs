//! Steps whose first call is made at most once: written down before, asked about after, and never made again unless somebody
//! says so.

use std::time::Duration;

use prorch_core::model::{
    Agenda, CauseKind, Event, Hook, Kept, Next, Outcome, Plan, Status, StepRecord, StoredRun, Verdict,
    agenda, transition,
};

use crate::bench::{
    act, answer, answered, at, claim, claimed, created, decide, ended, errored, finished, held_at, plan,
    record, seconds, stage, text,
};
use crate::chart::shown;
use crate::stages::{self, member, wide};

/// The plan, where the first call of the middle step is made at most once, and of the first step too.
fn once() -> Plan {
    let mut plan = plan();
    for stage in [0, 1] {
        plan.stages[stage].steps_mut()[0].policy.at_most_once = true;
    }
    plan
}

/// What happened before what a row of the chart is about.
#[derive(Clone, Copy)]
pub(crate) enum Before {
    /// The run came to the step.
    Nothing,
    /// The first call was written down.
    Intended,
    /// It erred once.
    Erred,
    /// The run failed in doubt.
    Failed,
}

pub(crate) fn rows() -> Vec<(&'static str, Before, Event)> {
    let on_uncertain = |outcome| answered(1, Hook::Uncertain, outcome, Kept::default());
    let unwritten = Outcome::Failed(CauseKind::InDoubt, text("there is none"));
    let says = |verdict| Event::Verdict(stage(1), verdict);
    vec![
        (
            "a first call that is made at most once is about to be made",
            Before::Nothing,
            Event::Intended(vec![stage(1)]),
        ),
        ("such a call errs, takes too long or panics", Before::Intended, answer(1, errored())),
        (
            "such a call answers: it can't be done",
            Before::Intended,
            answer(1, Outcome::Failed(CauseKind::Error, text("no"))),
        ),
        ("`on_uncertain` answers: start again", Before::Intended, on_uncertain(Outcome::StartAgain)),
        ("`on_uncertain` answers: pending", Before::Intended, on_uncertain(Outcome::Pending(None))),
        ("`on_uncertain` errs for the last time", Before::Erred, on_uncertain(errored())),
        ("`on_uncertain` is not written", Before::Intended, on_uncertain(unwritten)),
        ("a retry of a run that is in doubt", Before::Failed, Event::Retry),
        (
            "of a step in doubt it is said: it has finished, another follows",
            Before::Failed,
            says(Verdict::Finished(text("1"))),
        ),
        ("of a step in doubt it is said: it has failed", Before::Failed, says(Verdict::Failed(text("no")))),
        ("of a step in doubt it is said: it may start again", Before::Failed, says(Verdict::StartAgain)),
    ]
}

/// A run at its middle step, with this behind it.
fn after(before: Before) -> StoredRun {
    let mut stored = held_at(1);
    let happened = match before {
        Before::Nothing => vec![],
        Before::Intended => vec![Event::Intended(vec![stage(1)])],
        Before::Erred => vec![Event::Intended(vec![stage(1)]), answer(1, errored())],
        Before::Failed => {
            let unwritten = Outcome::Failed(CauseKind::InDoubt, text("there is none"));
            vec![Event::Intended(vec![stage(1)]), answered(1, Hook::Uncertain, unwritten, Kept::default())]
        }
    };
    for event in happened {
        act(&mut stored, &once(), event, at(0));
    }
    stored
}

pub(crate) fn cell(status: Status, before: Before, event: Event) -> String {
    let stored = match (before, status) {
        (Before::Nothing, Status::Created) => {
            return shown(&created(), &once(), Event::Intended(vec![stage(0)]), &[]);
        }
        (Before::Failed, Status::Failed) => after(before),
        (Before::Failed, _) if event == Event::Retry => return "does not happen".to_owned(),
        (Before::Failed, Status::Created) => created(),
        (Before::Failed, Status::Pending) => after(Before::Intended),
        (_, Status::Pending) => after(before),
        (_, Status::Created) => return "does not happen".to_owned(),
        (_, ended_as) => ended(ended_as),
    };
    shown(&stored, &once(), event, &[])
}

fn next(stored: &StoredRun, plan: &Plan, now: i64) -> Agenda {
    agenda(stored, plan, 5, &[], at(now))
}

#[test]
fn the_first_call_is_written_down_before_it_is_made_and_only_that_one() {
    let plan = once();
    let mut stored = claimed();
    let intended = Event::Intended(vec![stage(0)]);
    assert_eq!(next(&stored, &plan, 0), Agenda::Decide(intended.clone()));
    assert_eq!(act(&mut stored, &plan, intended, at(3)), Next::GoOn);
    let written = record(&stored, 0).clone();
    assert_eq!((written.status, written.intent), (Status::Created, Some(at(3))));
    assert_eq!(next(&stored, &plan, 3), Agenda::Call(vec![written]), "now it may be called");
    assert_eq!(act(&mut stored, &plan, answer(0, Outcome::Pending(None)), at(3)), Next::GoOn);
    assert_eq!(record(&stored, 0).intent, None, "its answer is known");
    let Agenda::Call(called) = next(&stored, &plan, 3) else { panic!("it is asked again") };
    assert_eq!(called[0].status, Status::Pending);
    act(&mut stored, &plan, answer(0, finished()), at(4));
    assert_eq!(record(&stored, 0).intent, None);
    act(&mut stored, &plan, Event::Intended(vec![stage(1)]), at(4));
    act(&mut stored, &plan, answer(1, finished()), at(4));
    assert!(matches!(next(&stored, &plan, 4), Agenda::Call(_)), "the last step is one like any other");
}

#[test]
fn an_intent_acquits_nobody_of_a_crash_and_an_answer_does() {
    let mut stored = claimed();
    claim(&mut stored, at(31));
    assert_eq!(stored.run.state.crashes, 1);
    act(&mut stored, &once(), Event::Intended(vec![stage(0)]), at(31));
    assert_eq!(stored.run.state.crashes, 1);
    let again = answered(0, Hook::Uncertain, Outcome::StartAgain, Kept::default());
    act(&mut stored, &once(), again, at(31));
    assert_eq!(stored.run.state.crashes, 1, "the call that is made again may be the one that kills");
    act(&mut stored, &once(), answer(0, Outcome::Pending(None)), at(31));
    assert_eq!(stored.run.state.crashes, 0);
}

#[test]
fn of_a_call_that_errs_it_is_asked_what_became_of_it_also_when_no_attempt_is_left() {
    let mut plan = once();
    plan.stages[1].steps_mut()[0].policy.retry.max_attempts = 1;
    let mut stored = after(Before::Intended);
    assert_eq!(act(&mut stored, &plan, answer(1, errored()), at(0)), Next::Wait(Some(at(1))));
    let erred = record(&stored, 1).clone();
    assert_eq!((erred.errors, erred.intent, erred.status), (1, Some(at(0)), Status::Created));
    claim(&mut stored, at(1));
    let mut started = stored.clone();
    assert_eq!(
        act(&mut stored, &plan, answered(1, Hook::Uncertain, errored(), Kept::default()), at(1)),
        Next::End
    );
    let cause = stored.run.state.cause.clone().unwrap();
    assert_eq!((cause.kind, cause.step), (CauseKind::InDoubt, Some(text("transfer"))));
    assert!(cause.text.ends_with("whether its first call did its work: the disk is full"), "{}", cause.text);
    let again = answered(1, Hook::Uncertain, Outcome::StartAgain, Kept::default());
    assert_eq!(act(&mut started, &plan, again, at(1)), Next::End, "it has no attempt left for that");
    assert_eq!(
        started.run.state.cause.clone().unwrap().kind,
        CauseKind::Error,
        "and nothing came of the one that it had"
    );
    assert_eq!(record(&started, 1).intent, None);
}

#[test]
fn what_ends_it_meanwhile_leaves_it_in_doubt_but_for_its_own_word() {
    let kind = |event| {
        let mut stored = after(Before::Intended);
        act(&mut stored, &once(), event, at(1));
        let intent = record(&stored, 1).intent;
        (stored.run.state.cause.clone().unwrap().kind, intent.is_some())
    };
    let failed = |kind| answer(1, Outcome::Failed(kind, text("no")));
    assert_eq!(kind(Event::Expired(stage(1))), (CauseKind::InDoubt, true));
    assert_eq!(kind(Event::Crashed(stage(1))), (CauseKind::InDoubt, true));
    assert_eq!(
        kind(failed(CauseKind::Refused)),
        (CauseKind::InDoubt, true),
        "it did its work, and that can't be stored"
    );
    assert_eq!(kind(failed(CauseKind::Error)), (CauseKind::Error, false));
    assert_eq!(kind(Event::Cancel { reason: text("enough"), message: None }), (CauseKind::Cancelled, true));
}

#[test]
fn only_who_is_asked_starts_again() {
    let mut stored = after(Before::Intended);
    assert_eq!(act(&mut stored, &once(), answer(1, Outcome::StartAgain), at(1)), Next::End);
    assert_eq!(stored.run.state.cause.clone().unwrap().kind, CauseKind::Error);
}

#[test]
fn a_retry_asks_again_and_a_verdict_settles() {
    let failed = after(Before::Failed);
    let mut stored = failed.clone();
    assert_eq!(act(&mut stored, &once(), Event::Retry, at(7)), Next::Wait(Some(at(7))));
    assert_eq!(record(&stored, 1).intent, failed.records[&stage(1)].intent, "prorch does not forget it");
    let verdict = |verdict| {
        let mut stored = failed.clone();
        let next = act(&mut stored, &once(), Event::Verdict(stage(1), verdict), at(7));
        (next, stored)
    };
    let (next, done) = verdict(Verdict::Finished(text("17")));
    assert_eq!((next, done.run.due_at), (Next::GoOn, Some(at(7))));
    assert_eq!(
        (record(&done, 1).status, record(&done, 1).output.clone()),
        (Status::Finished, Some(text("17")))
    );
    assert_eq!(*record(&done, 2), StepRecord::new(stage(2), text("notify"), at(7)));
    let (_, gone) = verdict(Verdict::Failed(text("the bank says no")));
    assert_eq!(gone.run.status(), Status::Failed);
    let cause = gone.run.state.cause.clone().unwrap();
    assert_eq!((cause.kind, cause.text), (CauseKind::Error, text("the bank says no")));
    assert_eq!(record(&gone, 1).intent, None);
    let second = transition(&gone, &once(), Event::Verdict(stage(1), Verdict::StartAgain), &[], at(8));
    assert_eq!(
        second.unwrap_err().to_string(),
        "a run that is failed can't be settled",
        "the first one counts"
    );
    let (_, again) = verdict(Verdict::StartAgain);
    assert_eq!((again.run.status(), record(&again, 1).intent), (Status::Pending, None));
    assert_eq!(next_of(&again), Agenda::Decide(Event::Intended(vec![stage(1)])));
}

fn next_of(stored: &StoredRun) -> Agenda {
    let mut stored = stored.clone();
    claim(&mut stored, at(7));
    next(&stored, &once(), 7)
}

#[test]
fn the_last_step_that_is_said_to_have_finished_ends_the_run() {
    let mut plan = once();
    plan.stages.truncate(2);
    let mut stored = after(Before::Failed);
    let event = Event::Verdict(stage(1), Verdict::Finished(text("17")));
    assert_eq!(act(&mut stored, &plan, event, at(7)), Next::End);
    assert_eq!((stored.run.status(), stored.run.state.output.clone()), (Status::Finished, Some(text("17"))));
    assert_eq!(stored.run.state.cause, None);
}

#[test]
fn members_of_a_stage_are_written_down_together_and_are_in_doubt_each_for_itself() {
    let mut plan = wide();
    plan.stages[1].steps_mut().iter_mut().for_each(|step| step.policy.at_most_once = true);
    let mut stored = stages::come_to(1);
    let both = Event::Intended(vec![member(1, 0), member(1, 1)]);
    assert_eq!(next(&stored, &plan, 0), Agenda::Decide(both.clone()));
    stages::act(&mut stored, &plan, both, &[], 0);
    let Agenda::Call(called) = next(&stored, &plan, 0) else { panic!("both are called") };
    assert_eq!(called.len(), 2);
    let unwritten = Outcome::Failed(CauseKind::InDoubt, text("there is none"));
    stages::act(&mut stored, &plan, stages::answer(member(1, 0), unwritten), &[], 1);
    assert_eq!(stored.run.status(), Status::Failed);
    let (settled, beside) = (member(1, 0), member(1, 1));
    assert!(stored.records[&beside].is_in_doubt(), "it was cut off with the other");
    let verdict = Event::Verdict(settled, Verdict::Finished(text("1")));
    let (next, _) = stages::act(&mut stored, &plan, verdict, &[], 2);
    assert_eq!((next, stored.run.state.fan.map(|fan| fan.finished)), (Next::GoOn, Some(1)));
    let open = &stored.records[&beside];
    assert_eq!(
        (open.status, open.is_in_doubt()),
        (Status::Created, true),
        "that one is asked about as by a retry"
    );
}

#[test]
fn a_suspect_run_writes_down_only_the_one_that_it_calls() {
    let mut plan = wide();
    plan.stages[1].steps_mut().iter_mut().for_each(|step| step.policy.at_most_once = true);
    let mut stored = stages::come_to(1);
    for n in 1..=2 {
        claim(&mut stored, at(31 * n));
    }
    assert_eq!(next(&stored, &plan, 62), Agenda::Decide(Event::Intended(vec![member(1, 0)])));
}

#[test]
fn a_policy_that_says_so_later_does_not_touch_what_is_pending() {
    let mut stored = claimed();
    act(&mut stored, &plan(), answer(0, Outcome::Pending(Some(Duration::ZERO))), at(0));
    claim(&mut stored, at(0) + seconds(1));
    assert!(matches!(next(&stored, &once(), 1), Agenda::Call(_)));
    let stored = after(Before::Intended);
    assert!(
        matches!(next(&stored, &plan(), 0), Agenda::Call(_)),
        "nor does one that does not say so any more"
    );
    assert!(decide(&stored, &plan(), answer(1, errored()), at(0)).records[0].record().is_in_doubt());
}
