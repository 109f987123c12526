//! What a call's answer leads to.

use prorch_core::model::{
    CauseKind, Event, Guard, Hold, Hook, Jitter, Kept, MessageId, Next, Outcome, RecordWrite, Status,
    StepProgress, StepRecord,
};
use serde_json::json;

use crate::bench::{
    act, answer, answered, at, claim, claimed, decide, errored, finished, held_at, holder, pending_at, plan,
    plan_with_deadline, record, seconds, signal, stage, statuses, text,
};

#[test]
fn a_finished_step_hands_over_to_the_next_in_one_update() {
    let stored = claimed();
    let decision = decide(&stored, &plan(), answer(0, finished()), at(3));
    assert_eq!(decision.next, Next::GoOn);
    let [RecordWrite::New(first), RecordWrite::New(second)] = &decision.records[..] else {
        panic!("{:?}", decision.records)
    };
    assert_eq!(
        (first.status, first.output.clone(), first.ended_at),
        (Status::Finished, Some(text("1")), Some(at(3)))
    );
    assert_eq!(first.entered_at, at(0), "the run came to its first step with the claim");
    assert_eq!(*second, StepRecord::new(stage(1), text("transfer"), at(3)));
    let update = decision.into_update(&stored, Guard::Held(stored.run.epoch, holder()), at(3));
    assert_eq!(update.hold, Hold::Keep);
    assert_eq!(update.state, None, "from step to step the run's row is left alone");
}

#[test]
fn the_last_finished_step_finishes_the_run_with_its_output() {
    let mut stored = held_at(2);
    assert_eq!(act(&mut stored, &plan(), answer(2, finished()), at(7)), Next::End);
    let run = &stored.run;
    assert_eq!((run.status(), run.state.output.clone()), (Status::Finished, Some(text("1"))));
    assert_eq!((run.state.ended_at, run.lease, run.due_at), (Some(at(7)), None, None));
    assert_eq!(statuses(&stored), [Status::Finished; 3]);
}

#[test]
fn pending_from_the_start_goes_on_at_once_and_later_by_the_poll() {
    let pending = || Outcome::Pending(None);
    let mut stored = claimed();
    let start = answered(0, Hook::Start, pending(), Kept::default());
    assert_eq!(act(&mut stored, &plan(), start, at(0)), Next::GoOn);
    let again = answered(0, Hook::Continue, pending(), Kept::default());
    assert_eq!(act(&mut stored, &plan(), again, at(2)), Next::Wait(Some(at(7))), "the poll is five seconds");
    claim(&mut stored, at(7));
    let own = answered(0, Hook::Start, Outcome::Pending(Some(seconds(60))), Kept::default());
    assert_eq!(
        act(&mut stored, &plan(), own, at(7)),
        Next::Wait(Some(at(67))),
        "a time of its own is waited for"
    );
    assert_eq!(record(&stored, 0).due_at, Some(at(67)));
}

/// Every ten seconds for a step whose records are gathered; `at(0)` is such a second.
#[test]
fn a_step_that_is_asked_with_others_is_due_with_them() {
    let mut plan = plan_with_deadline(45);
    plan.stages[0].steps_mut()[0].policy.gather = seconds(10);
    let due = |hook, outcome, now| {
        let mut stored = claimed();
        act(&mut stored, &plan, answered(0, hook, outcome, Kept::default()), at(now));
        record(&stored, 0).due_at
    };
    assert_eq!(due(Hook::Continue, Outcome::Pending(None), 1), Some(at(10)), "the poll is five seconds");
    assert_eq!(due(Hook::Continue, Outcome::Pending(None), 6), Some(at(20)));
    assert_eq!(due(Hook::Start, Outcome::Pending(Some(seconds(9))), 1), Some(at(10)), "not a moment late");
    assert_eq!(due(Hook::Continue, errored(), 12), Some(at(20)));
    assert_eq!(due(Hook::Start, Outcome::Pending(None), 3), Some(at(3)), "the first time at once");
    let waits = Outcome::AwaitSignal { name: text("go"), limit: Some(seconds(4)) };
    assert_eq!(due(Hook::Continue, waits, 3), Some(at(7)), "a limit is a limit");

    let mut stored = claimed();
    let late = answered(0, Hook::Continue, Outcome::Pending(Some(seconds(41))), Kept::default());
    let next = act(&mut stored, &plan, late, at(2));
    assert_eq!(
        (next, record(&stored, 0).due_at),
        (Next::Wait(Some(at(45))), Some(at(50))),
        "its deadline is looked at"
    );
}

#[test]
fn what_a_call_kept_is_written_with_its_answer() {
    let mut stored = claimed();
    stored.receive(&signal(1, "go"));
    let kept = Kept {
        state: Some(text("{\"job\":1}")),
        run_metadata: [("team".into(), json!("storage"))].into(),
        step_metadata: [("host".into(), json!(7))].into(),
        progress: Some(StepProgress { done: 1, total: 4 }),
        taken: vec![MessageId::from_bytes([1; 16])],
    };
    act(&mut stored, &plan(), answered(0, Hook::Start, Outcome::Pending(None), kept), at(0));
    let first = record(&stored, 0);
    assert_eq!(first.state, Some(text("{\"job\":1}")));
    assert_eq!((first.metadata["host"].clone(), first.progress.unwrap().done), (json!(7), 1));
    assert_eq!(stored.run.state.metadata["team"], json!("storage"));
    assert_eq!(stored.untaken().count(), 0);
    // A call that keeps nothing leaves what is there.
    act(&mut stored, &plan(), answer(0, Outcome::Pending(None)), at(1));
    assert_eq!(record(&stored, 0).state, Some(text("{\"job\":1}")));
    assert_eq!(stored.run.state.metadata["team"], json!("storage"));
}

#[test]
fn errors_are_tried_again_with_growing_delays_until_the_attempts_are_used_up() {
    let mut plan = plan();
    plan.stages[0].steps_mut()[0].policy.retry.max_attempts = 4;
    let mut stored = claimed();
    for (errors, delay) in [(1, 1), (2, 2), (3, 4)] {
        let now = at(100 * i64::from(errors));
        let next = act(&mut stored, &plan, answer_with_attempt(errors, errored()), now);
        assert_eq!(next, Next::Wait(Some(now + seconds(delay))));
        let first = record(&stored, 0);
        assert_eq!((first.errors, first.attempt, first.status), (errors, errors + 1, Status::Created));
        assert_eq!(first.error, Some(text("the disk is full")));
        claim(&mut stored, now + seconds(delay));
    }
    assert_eq!(act(&mut stored, &plan, answer(0, errored()), at(900)), Next::End);
    let cause = stored.run.state.cause.clone().unwrap();
    assert_eq!((cause.kind, cause.step), (CauseKind::Error, Some(text("generate"))));
    assert_eq!((stored.run.status(), statuses(&stored)), (Status::Failed, vec![Status::Failed]));
}

fn answer_with_attempt(attempt: u32, outcome: Outcome) -> Event {
    let Event::Answered(mut call, jitter) = answer(0, outcome) else { unreachable!() };
    call.attempt = attempt;
    Event::Answered(call, jitter)
}

#[test]
fn the_step_may_say_when_to_try_again_and_chance_spreads_the_rest() {
    let outcome = |retry_after| Outcome::Errored { error: text("busy"), retry_after };
    let next = decide(&claimed(), &plan(), answer(0, outcome(Some(seconds(77)))), at(0)).next;
    assert_eq!(next, Next::Wait(Some(at(77))));
    let Event::Answered(call, _) = answer(0, outcome(None)) else { unreachable!() };
    let next = decide(&claimed(), &plan(), Event::Answered(call, Jitter::new(0.0)), at(0)).next;
    assert_eq!(next, Next::Wait(Some(at(0) + seconds(1) / 2)), "half of the second at the least");
}

#[test]
fn a_committed_pending_starts_the_count_of_errors_anew() {
    let mut stored = pending_at(0);
    for round in 0..5 {
        let now = at(10 * round);
        act(&mut stored, &plan(), answer(0, errored()), now);
        assert_eq!((record(&stored, 0).errors, stored.run.status()), (1, Status::Pending));
        claim(&mut stored, now + seconds(1));
        act(&mut stored, &plan(), answer(0, Outcome::Pending(None)), now);
        let first = record(&stored, 0);
        assert_eq!((first.errors, first.attempt, first.error.clone()), (0, 1, None));
    }
}

#[test]
fn an_error_throws_away_what_its_call_did() {
    let mut stored = pending_at(0);
    stored.receive(&signal(1, "go"));
    let before = record(&stored, 0).clone();
    let kept =
        Kept { state: Some(text("9")), taken: vec![MessageId::from_bytes([1; 16])], ..Kept::default() };
    act(&mut stored, &plan(), answered(0, Hook::Continue, errored(), kept), at(1));
    assert_eq!((record(&stored, 0).state.clone(), stored.untaken().count()), (before.state, 1));
}

#[test]
fn a_step_that_waits_for_a_signal_is_called_at_once_when_it_is_there() {
    let waits = |limit| Outcome::AwaitSignal { name: text("go"), limit };
    let mut stored = claimed();
    assert_eq!(act(&mut stored, &plan(), answer(0, waits(None)), at(0)), Next::Wait(None));
    assert_eq!(record(&stored, 0).awaits, Some(text("go")));
    stored.receive(&signal(1, "other"));
    claim(&mut stored, at(1));
    let next = act(&mut stored, &plan(), answer(0, waits(Some(seconds(9)))), at(1));
    assert_eq!(next, Next::Wait(Some(at(10))), "another signal is not the one");
    stored.receive(&signal(2, "go"));
    claim(&mut stored, at(2));
    assert_eq!(act(&mut stored, &plan(), answer(0, waits(None)), at(2)), Next::GoOn);
    let kept = Kept { taken: vec![MessageId::from_bytes([2; 16])], ..Kept::default() };
    let took = answered(0, Hook::Continue, waits(None), kept);
    assert_eq!(act(&mut stored, &plan(), took, at(2)), Next::Wait(None), "one that this call takes is gone");
}

#[test]
fn a_wait_ends_at_the_deadline_at_the_latest() {
    let plan = plan_with_deadline(20);
    let waits = |limit: Option<u64>| Outcome::AwaitSignal { name: text("go"), limit: limit.map(seconds) };
    for (outcome, due) in [
        (waits(None), 20),
        (waits(Some(90)), 20),
        (waits(Some(9)), 12),
        (Outcome::Pending(Some(seconds(90))), 20),
        (Outcome::Errored { error: text("busy"), retry_after: Some(seconds(90)) }, 20),
    ] {
        let next = decide(&claimed(), &plan, answer(0, outcome.clone()), at(3)).next;
        assert_eq!(next, Next::Wait(Some(at(due))), "{outcome:?}");
    }
}

#[test]
fn any_answer_ends_the_suspicion() {
    let mut stored = claimed();
    stored.run.state.crashes = 2;
    for outcome in [finished(), Outcome::Pending(None), errored()] {
        let decision = decide(&stored, &plan(), answer(0, outcome.clone()), at(0));
        assert_eq!(decision.state.map(|state| state.crashes), Some(0), "{outcome:?}");
    }
}
