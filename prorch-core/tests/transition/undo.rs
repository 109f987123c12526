//! Runs that are undone, the last step first.

use prorch_core::model::{
    Agenda, CauseKind, Compensation, Decision, Event, Guard, Kept, Mail, MessageId, Next, Outcome, Part,
    Plan, Position, Refusal, Run, RunId, RunState, Status, StepRecord, StoredRun, Undo, UndoOn, UndoPhase,
    agenda, transition,
};

use crate::bench::{
    answer, at, claim, claimed, created, ended, errored, finished, held_at, message, pending_at, plan,
    seconds, stage, text,
};
use crate::stages::{self, member};

/// The plan of three steps, whose runs are undone whatever ends them.
pub(crate) fn undoing() -> Plan {
    Plan { undo: UndoOn { failure: true, cancel: true }, ..plan() }
}

fn wide() -> Plan {
    Plan { undo: UndoOn { failure: true, cancel: true }, ..stages::wide() }
}

fn failed() -> Outcome {
    Outcome::Failed(CauseKind::Error, text("no"))
}

fn cancel() -> Event {
    Event::Cancel { reason: text("enough"), message: None }
}

fn act(stored: &mut StoredRun, event: Event) -> Next {
    stages::act(stored, &undoing(), event, &[], 9).0
}

/// A run whose third step failed, and that is held.
fn failing() -> StoredRun {
    let mut stored = held_at(2);
    assert_eq!(act(&mut stored, answer(2, failed())), Next::GoOn);
    stored
}

/// One whose steps are undone from this one on, and those behind it are.
fn undone_to(step: u32) -> StoredRun {
    let mut stored = failing();
    for step in (step + 1..3).rev() {
        assert_eq!(act(&mut stored, answer(step, finished())), Next::GoOn);
    }
    stored
}

/// One that could not be undone at its second step.
fn stuck() -> StoredRun {
    let mut stored = undone_to(1);
    assert_eq!(act(&mut stored, answer(1, failed())), Next::End);
    stored
}

fn calls(stored: &StoredRun, plan: &Plan, under_way: &[Position]) -> Vec<Position> {
    match agenda(stored, plan, 5, under_way, at(9)) {
        Agenda::Call(records) => records.iter().map(|record| record.position).collect(),
        other => panic!("{other:?}"),
    }
}

fn undo(stored: &StoredRun) -> &Undo {
    stored.run.state.undo.as_ref().unwrap()
}

fn compensation(stored: &StoredRun, at: Position) -> &Compensation {
    stored.records[&at].undo.as_ref().unwrap()
}

/// The rows of the chart about runs that are undone: what happens, the run that it happens to, by its status, and the event.
type Row = (&'static str, fn(Status) -> Option<StoredRun>, Event);

pub(crate) fn rows() -> Vec<Row> {
    let message = Some(MessageId::from_bytes([1; 16]));
    vec![
        ("a step fails, and what was done is to be undone", at_third, answer(2, failed())),
        ("a cancel from outside, and what was done is to be undone", at_third, cancel()),
        ("a step is undone, and others stand before it", |status| in_phase(status, 1), answer(1, finished())),
        ("the first step is undone", |status| in_phase(status, 0), answer(0, finished())),
        (
            "the undoing of a step answers: pending",
            |status| in_phase(status, 1),
            answer(1, Outcome::Pending(None)),
        ),
        (
            "the undoing of a step errs, and has attempts left",
            |status| in_phase(status, 1),
            answer(1, errored()),
        ),
        ("the step can't be undone", |status| in_phase(status, 1), answer(1, failed())),
        (
            "a cancel comes while steps are undone",
            |status| in_phase(status, 1),
            Event::Cancel { reason: text("enough"), message },
        ),
        ("a retry of a run that could not be undone", |_| Some(stuck()), Event::Retry),
        (
            "a retry of a run that was undone",
            |_| {
                let mut stored = undone_to(0);
                act(&mut stored, answer(0, finished()));
                Some(stored)
            },
            Event::Retry,
        ),
    ]
}

fn at_third(status: Status) -> Option<StoredRun> {
    match status {
        Status::Created => None,
        Status::Pending => Some(pending_at(2)),
        status => Some(ended(status)),
    }
}

fn in_phase(status: Status, step: u32) -> Option<StoredRun> {
    match status {
        Status::Created => None,
        Status::Pending => Some(undone_to(step)),
        status => Some(ended(status)),
    }
}

/// What becomes of the run, as a cell of the chart.
pub(crate) fn cell(status: Status, run: fn(Status) -> Option<StoredRun>, event: Event) -> String {
    let Some(stored) = run(status).filter(|stored| stored.run.status() == status) else {
        return "does not happen".to_owned();
    };
    crate::chart::shown(&stored, &undoing(), event, &[])
}

#[test]
fn finished_steps_are_undone_in_reverse_order_and_then_the_run_ends_as_it_would_have() {
    let mut stored = failing();
    for step in [2, 1, 0] {
        assert_eq!((stored.run.status(), stored.stage()), (Status::Pending, step));
        assert_eq!(calls(&stored, &undoing(), &[]), [stage(step)]);
        assert_eq!(agenda(&stored, &undoing(), 5, &[stage(step)], at(9)), Agenda::Await);
        let next = act(&mut stored, answer(step, finished()));
        assert_eq!(next, if step == 0 { Next::End } else { Next::GoOn });
        assert_eq!(compensation(&stored, stage(step)).status, Status::Finished);
    }
    let cause = stored.run.state.cause.clone().unwrap();
    assert_eq!(
        (stored.run.status(), cause.kind, undo(&stored).phase),
        (Status::Failed, CauseKind::Error, UndoPhase::Undone)
    );
    assert_eq!(cause.text, "no (what its steps had done is undone)");
    let outputs: Vec<_> = stored.records.values().map(|record| record.output.is_some()).collect();
    assert_eq!(outputs, [true, true, false], "what the steps handed on stays");
}

#[test]
fn a_cancelled_run_is_undone_and_then_cancelled() {
    for mut stored in [pending_at(1), held_at(1)] {
        assert_eq!(act(&mut stored, cancel()), Next::GoOn);
        for step in [1, 0] {
            assert_eq!(calls(&stored, &undoing(), &[]), [stage(step)]);
            act(&mut stored, answer(step, finished()));
        }
        assert_eq!((stored.run.status(), undo(&stored).phase), (Status::Cancelled, UndoPhase::Undone));
    }
}

/// The first call has no record before its first answer; a run that nobody claimed has done nothing.
#[test]
fn a_first_step_that_may_have_been_called_is_undone() {
    let mut stored = claimed();
    assert_eq!(act(&mut stored, cancel()), Next::GoOn);
    assert_eq!(calls(&stored, &undoing(), &[]), [stage(0)]);
    let mut stored = created();
    assert_eq!(act(&mut stored, cancel()), Next::End);
    assert_eq!((stored.run.status(), stored.run.state.undo.clone()), (Status::Cancelled, None));
}

#[test]
fn only_what_the_pipeline_names_is_undone_and_steps_that_undo_nothing_are_passed_over() {
    let plan = Plan { undo: UndoOn { failure: false, cancel: true }, ..plan() };
    let mut stored = held_at(1);
    assert_eq!(stages::act(&mut stored, &plan, answer(1, failed()), &[], 0).0, Next::End);
    assert_eq!(stored.run.state.undo, None);

    let mut plan = undoing();
    plan.stages[1].steps_mut()[0].undoes = false;
    let mut stored = held_at(2);
    stages::act(&mut stored, &plan, answer(2, failed()), &[], 0);
    stages::act(&mut stored, &plan, answer(2, finished()), &[], 0);
    assert_eq!(undo(&stored).below, stage(1));
    assert_eq!(calls(&stored, &plan, &[]), [stage(0)]);
    for stage in &mut plan.stages {
        stage.steps_mut()[0].undoes = false;
    }
    let mut stored = held_at(2);
    assert_eq!(stages::act(&mut stored, &plan, answer(2, failed()), &[], 0).0, Next::End);
    assert_eq!(stored.run.state.undo, None, "there was nothing to undo: it may be retried");
}

#[test]
fn an_undoing_that_is_pending_is_asked_again_and_keeps_its_state_apart() {
    let mut stored = undone_to(1);
    let kept = Kept { state: Some(text("{\"asked\":1}")), ..Kept::default() };
    let pending = crate::bench::answered(1, prorch_core::model::Hook::Undo, Outcome::Pending(None), kept);
    assert_eq!(act(&mut stored, pending), Next::Wait(Some(at(14))), "after the poll interval");
    let undone = compensation(&stored, stage(1));
    assert_eq!((undone.status, undone.state.clone()), (Status::Pending, Some(text("{\"asked\":1}"))));
    assert_eq!(stored.records[&stage(1)].state, None);
    claim(&mut stored, at(14));
    assert_eq!(agenda(&stored, &undoing(), 5, &[], at(13)), Agenda::Rest(Some(at(14))));
    assert!(matches!(agenda(&stored, &undoing(), 5, &[], at(14)), Agenda::Call(_)));
}

#[test]
fn an_undoing_that_waits_for_a_signal_wakes_with_it() {
    let mut stored = undone_to(1);
    let waits = Outcome::AwaitSignal { name: text("go"), limit: None };
    assert_eq!(act(&mut stored, answer(1, waits)), Next::Wait(None));
    claim(&mut stored, at(9));
    assert_eq!(agenda(&stored, &undoing(), 5, &[], at(9)), Agenda::Rest(None));
    stored.receive(&crate::bench::signal(1, "go"));
    assert_eq!(calls(&stored, &undoing(), &[]), [stage(1)]);
}

#[test]
fn an_undoing_is_retried_by_the_policy_and_stops_there_when_it_fails_for_good() {
    let mut stored = undone_to(1);
    assert_eq!(act(&mut stored, answer(1, errored())), Next::Wait(Some(at(10))));
    let undone = compensation(&stored, stage(1));
    assert_eq!((undone.errors, undone.attempt, undone.error.clone()), (1, 2, Some(text("the disk is full"))));
    claim(&mut stored, at(10));
    assert_eq!(act(&mut stored, answer(1, errored())), Next::End);
    let cause = stored.run.state.cause.clone().unwrap();
    assert_eq!(
        (stored.run.status(), cause.kind, cause.step),
        (Status::Failed, CauseKind::Undo, Some(text("transfer")))
    );
    assert_eq!(
        cause.text,
        "it can't be undone: the disk is full; not undone: `transfer`, `generate`; it was undone because of: no"
    );
    assert_eq!(stored.records[&stage(0)].undo, None, "what stands before is not tried");
}

#[test]
fn a_retry_of_a_run_that_could_not_be_undone_goes_on_with_that() {
    let mut stored = stuck();
    assert_eq!(act(&mut stored, Event::Retry), Next::Wait(Some(at(9))));
    assert_eq!(stored.run.state.cause.as_ref().unwrap().text, text("no"), "the first cause is back");
    claim(&mut stored, at(9));
    assert_eq!(compensation(&stored, stage(1)).errors, 0);
    for step in [1, 0] {
        assert_eq!(calls(&stored, &undoing(), &[]), [stage(step)]);
        act(&mut stored, answer(step, finished()));
    }
    assert_eq!((stored.run.status(), undo(&stored).phase), (Status::Failed, UndoPhase::Undone));
    let refusal = transition(&stored, &undoing(), Event::Retry, &[], at(9)).unwrap_err();
    assert!(refusal.to_string().contains("restart it"), "{refusal}");
}

#[test]
fn a_cancelled_run_that_can_not_be_undone_fails_and_is_cancelled_when_it_is_at_last() {
    let mut stored = pending_at(0);
    act(&mut stored, cancel());
    assert_eq!(act(&mut stored, answer(0, failed())), Next::End);
    assert_eq!(stored.run.status(), Status::Failed);
    act(&mut stored, Event::Retry);
    claim(&mut stored, at(9));
    assert_eq!(act(&mut stored, answer(0, finished())), Next::End);
    assert_eq!(stored.run.status(), Status::Cancelled);
}

#[test]
fn a_cancel_changes_nothing_of_a_run_that_is_undone_and_says_so() {
    let mut stored = undone_to(1);
    let refusal = transition(&stored, &undoing(), cancel(), &[], at(9)).unwrap_err();
    let Refusal { status, undo, .. } = refusal;
    assert_eq!((status, undo), (Status::Pending, Some(UndoPhase::Undoing)));
    assert!(refusal.to_string().contains("is being undone"), "{refusal}");
    stored.receive(&message(1, Mail::Cancel { reason: text("enough") }));
    assert_eq!(stored.waiting_cancel(), None, "the call under way is not told");
    let Agenda::Decide(event) = agenda(&stored, &undoing(), 5, &[], at(9)) else { panic!() };
    let before = stored.run.state.clone();
    assert_eq!(act(&mut stored, event), Next::GoOn);
    assert_eq!((&stored.run.state, stored.untaken().count()), (&before, 0));
}

#[test]
fn a_pause_holds_the_undoing_back() {
    let mut stored = undone_to(1);
    stored.receive(&message(1, Mail::Pause));
    let Agenda::Decide(event) = agenda(&stored, &undoing(), 5, &[], at(9)) else { panic!() };
    assert!(matches!(act(&mut stored, event), Next::Wait(_)));
    assert_eq!((stored.run.state.paused, stored.run.claimable_at()), (true, None));
    act(&mut stored, Event::Resume { message: None });
    assert_eq!(stored.run.claimable_at(), Some(at(9)));
    claim(&mut stored, at(9));
    assert_eq!(calls(&stored, &undoing(), &[]), [stage(1)]);
}

#[test]
fn a_group_is_undone_side_by_side_also_what_was_cancelled_in_it() {
    let (mut stored, plan) = (stages::come_to(1), wide());
    let next = stages::act(&mut stored, &plan, stages::answer(member(1, 0), failed()), &[], 0).0;
    assert_eq!((next, stored.records[&member(1, 1)].status), (Next::GoOn, Status::Cancelled));
    assert_eq!(calls(&stored, &plan, &[]), [member(1, 1), member(1, 0)]);
    let others = [member(1, 0)];
    assert_eq!(
        stages::act(&mut stored, &plan, stages::answer(member(1, 1), failed()), &others, 0).0,
        Next::GoOn
    );
    assert_eq!(agenda(&stored, &plan, 5, &others, at(9)), Agenda::Await, "no further call is made");
    assert_eq!(
        stages::act(&mut stored, &plan, stages::answer(member(1, 0), finished()), &[], 0).0,
        Next::End
    );
    assert_eq!((undo(&stored).phase, undo(&stored).below), (UndoPhase::Stuck, stage(2)));
    let text = &stored.run.state.cause.as_ref().unwrap().text;
    assert!(text.contains("not undone: `c`, `a`;"), "{text}");
}

/// A run of a list of so many items, all of which were come to and one of which failed.
fn listed(items: u32) -> StoredRun {
    let mut stored = stages::come_to(2);
    let record =
        |item| StepRecord { status: Status::Finished, ..StepRecord::new(member(2, item), text("d"), at(0)) };
    stored.records.extend((0..items).map(|item| (member(2, item), record(item))));
    stored.records.get_mut(&member(2, 0)).unwrap().status = Status::Failed;
    stored.run.state.undo = Some(Box::new(Undo { phase: UndoPhase::Undoing, below: stage(3), cause: None }));
    stored
}

#[test]
fn a_list_is_undone_from_its_end_so_many_at_a_time_in_bounded_memory() {
    let plan = wide();
    let mut stored = listed(40);
    let mut undone = Vec::new();
    while stored.stage() == 2 {
        let part = stored.part(Part::Work);
        let brought = part.records.keys().filter(|at| at.stage == 2).count();
        assert!(brought <= Part::UNDO_AT_ONCE as usize, "{brought}");
        match agenda(&part, &plan, 5, &[], at(9)) {
            Agenda::Call(records) => {
                assert!(records.len() <= 2, "as many as are done side by side");
                let position = records[0].position;
                let answered = stages::answer(position, finished());
                let decision = transition(&part, &plan, answered, &[], at(9)).unwrap();
                write(&mut stored, &part, decision);
                undone.push(position.item);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(undone, (0..40).rev().collect::<Vec<_>>());
    assert_eq!((stored.stage(), undo(&stored).below), (1, stage(2)));
}

fn write(stored: &mut StoredRun, part: &StoredRun, decision: Decision) {
    let lease = stored.run.lease.unwrap();
    decision.into_update(part, Guard::Held(stored.run.epoch, lease.holder), at(9)).apply(stored);
    if stored.run.lease.is_none() {
        claim(stored, at(9));
    }
}

const CHILD: RunId = RunId::from_bytes([7; 16]);

fn child_ended(status: Status) -> Event {
    let message = MessageId::from_bytes([1; 16]);
    Event::ChildEnded { position: member(3, 0), child: CHILD, status, reason: Some(text("stopped")), message }
}

fn with_child(plan: &Plan) -> StoredRun {
    let mut stored = stages::come_to(3);
    let spawn = Outcome::Spawn { run: CHILD, input: text("1") };
    stages::act(&mut stored, plan, stages::answer(member(3, 0), spawn), &[], 0);
    stored
}

#[test]
fn runs_that_it_has_started_are_cancelled_and_waited_for_before_anything_is_undone() {
    let plan = wide();
    for status in [Status::Finished, Status::Failed, Status::Cancelled] {
        let mut stored = with_child(&plan);
        let (next, update) = stages::act(&mut stored, &plan, cancel(), &[], 0);
        assert_eq!((next, undo(&stored).phase), (Next::Wait(None), UndoPhase::Ending));
        let [post] = &update.posts[..] else { panic!("{update:?}") };
        assert_eq!((post.to, &post.message.mail), (CHILD, &Mail::Cancel { reason: text("enough") }));
        claim(&mut stored, at(1));
        assert_eq!(agenda(&stored, &plan, 5, &[], at(99)), Agenda::Rest(None));
        assert_eq!(stages::act(&mut stored, &plan, child_ended(status), &[], 1).0, Next::GoOn);
        assert_eq!((undo(&stored).phase, stored.records[&member(3, 0)].status), (UndoPhase::Undoing, status));
        assert_eq!(
            stored.run.state.cause.as_ref().unwrap().kind,
            CauseKind::Cancelled,
            "that stays the cause"
        );
        assert_eq!(calls(&stored, &plan, &[]), [member(3, 0)]);
    }
}

#[test]
fn a_run_that_was_never_started_is_not_undone() {
    let (mut stored, plan) = (stages::come_to(3), wide());
    stages::act(&mut stored, &plan, cancel(), &[], 0);
    assert_eq!(agenda(&stored, &plan, 5, &[], at(9)), Agenda::Decide(Event::Settled));
    assert_eq!(stages::act(&mut stored, &plan, Event::Settled, &[], 0).0, Next::GoOn);
    assert_eq!(calls(&stored, &plan, &[]), [member(2, 0)]);
}

#[test]
fn an_undoing_that_kills_its_worker_again_and_again_fails_by_the_cap() {
    let mut stored = undone_to(1);
    stored.run.state.crashes = Run::SUSPECT_AFTER;
    assert_eq!(calls(&stored, &undoing(), &[]), [stage(1)]);
    stored.run.state.crashes = 5;
    let Agenda::Decide(event) = agenda(&stored, &undoing(), 5, &[], at(9)) else { panic!() };
    assert_eq!((event.clone(), act(&mut stored, event)), (Event::Crashed(stage(1)), Next::End));
    assert_eq!((stored.run.status(), undo(&stored).phase), (Status::Failed, UndoPhase::Stuck));
    assert!(stored.run.state.cause.as_ref().unwrap().text.contains("5 calls in a row were cut off"));
}

#[test]
fn an_undoing_without_a_pause_gives_the_run_back_all_the_same() {
    let mut stored = undone_to(1);
    let again = answer(1, Outcome::Pending(Some(seconds(0))));
    assert_eq!(act(&mut stored, again), Next::Wait(Some(at(9))));
}

/// As a store without a column for it would give it back, or a file from before.
#[test]
fn a_state_without_an_undo_is_one_that_is_not_undone() {
    let state = created().run.state;
    let json = serde_json::to_string(&state).unwrap();
    assert!(!json.contains("undo"), "{json}");
    assert_eq!(serde_json::from_str::<RunState>(&json).unwrap(), state);
    let state = stuck().run.state;
    assert_eq!(serde_json::from_str::<RunState>(&serde_json::to_string(&state).unwrap()).unwrap(), state);
}
