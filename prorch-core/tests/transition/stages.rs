//! Stages with several members: groups, lists, and runs of their own.

use prorch_core::model::{
    Agenda, Answer, Answered, CauseKind, Event, Fan, Hook, Jitter, Kept, Mail, MessageId, Next, Outcome,
    Part, Plan, Position, Run, RunId, StagePlan, Status, StoredRun, Text, UndoOn, Update, agenda,
    definition_key, transition,
};

use crate::bench::{at, claim, claimed, errored, finished, guard, message, one, plan, seconds, signal, text};

/// `[a, [b, c], each(d, concurrency = 2), run(archive), e]`, with the policies of the other plan.
pub(crate) fn wide() -> Plan {
    let policy = plan().stages[0].steps()[0].policy;
    let step = |name: &str| match one(text(name), policy) {
        StagePlan::One(step) => step,
        _ => unreachable!(),
    };
    let mut archive = step("archive");
    archive.child = Some(definition_key("archive", ["pack"]));
    let stages = vec![
        StagePlan::One(step("a")),
        StagePlan::Group(vec![step("b"), step("c")]),
        StagePlan::Each(step("d"), 2),
        StagePlan::One(archive),
        StagePlan::One(step("e")),
    ];
    let definition = definition_key("wide", ["a", "[b, c]", "each(d)", "run(archive)", "e"]);
    Plan { definition, stages, undo: UndoOn::NEVER }
}

/// The same from this stage on, so that a run begins with it.
pub(crate) fn wide_from(stage: usize) -> Plan {
    let mut plan = wide();
    plan.stages.drain(..stage);
    plan
}

pub(crate) fn member(stage: u32, item: u32) -> Position {
    Position { stage, item }
}

pub(crate) fn answer(position: Position, outcome: Outcome) -> Event {
    let answered = Answered { position, hook: Hook::Continue, attempt: 1, outcome, kept: Kept::default() };
    Event::Answered(answered, Jitter::NONE)
}

/// Lets the event happen, while these are under way, and brings what comes next and what was written.
pub(crate) fn act(
    stored: &mut StoredRun,
    plan: &Plan,
    event: Event,
    under_way: &[Position],
    now: i64,
) -> (Next, Update) {
    let decision = transition(stored, plan, event, under_way, at(now)).unwrap();
    let next = decision.next;
    let update = decision.into_update(stored, guard(stored), at(now));
    assert!(matches!(update.apply(stored), Answer::Applied { .. }), "{update:?}");
    (next, update)
}

fn next(stored: &mut StoredRun, plan: &Plan, event: Event, under_way: &[Position]) -> Next {
    act(stored, plan, event, under_way, 0).0
}

/// A run that has come to this stage, and is held.
pub(crate) fn come_to(stage: u32) -> StoredRun {
    let mut stored = claimed();
    let plan = wide();
    let done = [
        vec![answer(member(0, 0), finished())],
        vec![answer(member(1, 0), finished()), answer(member(1, 1), finished())],
        vec![Event::Opened(1), answer(member(2, 0), finished())],
    ];
    for event in done.into_iter().take(stage as usize).flatten() {
        assert_eq!(next(&mut stored, &plan, event, &[]), Next::GoOn);
    }
    assert_eq!(stored.stage(), stage);
    stored
}

fn calls(stored: &StoredRun, plan: &Plan, under_way: &[Position], now: i64) -> Vec<Position> {
    match agenda(stored, plan, 5, under_way, at(now)) {
        Agenda::Call(records) => records.iter().map(|record| record.position).collect(),
        other => panic!("{other:?}"),
    }
}

fn fan(stored: &StoredRun) -> (Option<u32>, u32, u32, u32) {
    let Fan { width, entered, finished, low, .. } = stored.run.state.fan.unwrap();
    (width, entered, finished, low)
}

fn statuses(stored: &StoredRun, stage: u32) -> Vec<Status> {
    let here = stored.records.range(member(stage, 0)..member(stage + 1, 0));
    here.map(|(_, record)| record.status).collect()
}

#[test]
fn a_group_is_entered_and_called_at_once_and_left_when_all_have_finished() {
    let (mut stored, plan) = (come_to(1), wide());
    assert_eq!(statuses(&stored, 1), [Status::Created; 2]);
    assert_eq!(calls(&stored, &plan, &[], 0), [member(1, 0), member(1, 1)]);
    assert_eq!(calls(&stored, &plan, &[member(1, 0)], 0), [member(1, 1)]);
    let under_way = [member(1, 0)];
    assert_eq!(next(&mut stored, &plan, answer(member(1, 1), finished()), &under_way), Next::GoOn);
    assert_eq!((stored.stage(), fan(&stored)), (1, (Some(2), 2, 1, 0)));
    assert_eq!(next(&mut stored, &plan, answer(member(1, 0), finished()), &[]), Next::GoOn);
    assert_eq!((stored.stage(), fan(&stored)), (2, (None, 0, 0, 0)), "the list is not counted yet");
    assert_eq!(agenda(&stored, &plan, 5, &[], at(0)), Agenda::Open);
}

#[test]
fn a_run_may_begin_with_several() {
    let (mut stored, plan) = (claimed(), wide_from(1));
    assert_eq!(agenda(&stored, &plan, 5, &[], at(0)), Agenda::Decide(Event::Begun));
    assert_eq!(next(&mut stored, &plan, Event::Begun, &[]), Next::GoOn);
    assert_eq!(calls(&stored, &plan, &[], 0), [member(0, 0), member(0, 1)]);
    let (mut stored, plan) = (claimed(), wide_from(2));
    assert_eq!(agenda(&stored, &plan, 5, &[], at(0)), Agenda::Decide(Event::Begun));
    assert_eq!(next(&mut stored, &plan, Event::Begun, &[]), Next::GoOn);
    assert_eq!(agenda(&stored, &plan, 5, &[], at(0)), Agenda::Open);
}

#[test]
fn each_member_waits_and_is_tried_again_by_itself() {
    let (mut stored, plan) = (come_to(1), wide());
    let wait = Outcome::Pending(Some(seconds(60)));
    assert_eq!(next(&mut stored, &plan, answer(member(1, 0), wait), &[member(1, 1)]), Next::GoOn);
    assert_eq!(agenda(&stored, &plan, 5, &[member(1, 1)], at(0)), Agenda::Await);
    assert_eq!(next(&mut stored, &plan, answer(member(1, 1), errored()), &[]), Next::Wait(Some(at(1))));
    claim(&mut stored, at(1));
    assert_eq!(calls(&stored, &plan, &[], 1), [member(1, 1)]);
    assert_eq!(calls(&stored, &plan, &[], 60), [member(1, 0), member(1, 1)]);
    let records: Vec<u32> = stored.current().map(|record| record.errors).collect();
    assert_eq!(records, [0, 1]);
}

#[test]
fn when_one_fails_those_under_way_may_end_and_the_rest_is_cancelled() {
    let (mut stored, plan) = (come_to(1), wide());
    let failed = Outcome::Failed(CauseKind::Error, text("no"));
    assert_eq!(next(&mut stored, &plan, answer(member(1, 0), failed), &[member(1, 1)]), Next::GoOn);
    assert_eq!(stored.run.status(), Status::Pending, "it is decided when the other call has ended");
    assert_eq!(agenda(&stored, &plan, 5, &[member(1, 1)], at(0)), Agenda::Await);
    let crashed = stored.clone();
    assert_eq!(agenda(&crashed, &plan, 5, &[], at(0)), Agenda::Decide(Event::Settled));
    let wait = Outcome::Pending(Some(seconds(60)));
    assert_eq!(next(&mut stored, &plan, answer(member(1, 1), wait), &[]), Next::End);
    assert_eq!(
        (stored.run.status(), statuses(&stored, 1)),
        (Status::Failed, vec![Status::Failed, Status::Cancelled])
    );
    let cause = stored.run.state.cause.clone().unwrap();
    assert_eq!((cause.step, cause.kind, cause.text), (Some(text("b")), CauseKind::Error, text("no")));
    let mut settled = crashed;
    assert_eq!(next(&mut settled, &plan, Event::Settled, &[]), Next::End);
    assert_eq!(settled.run.state.cause, stored.run.state.cause, "after a crash it is the same");
    assert_eq!(statuses(&settled, 1), [Status::Failed, Status::Cancelled]);
}

#[test]
fn a_failure_goes_before_a_cancel() {
    let (mut stored, plan) = (come_to(1), wide());
    let gives_up = Outcome::Cancelled(text("not today"));
    assert_eq!(next(&mut stored, &plan, answer(member(1, 0), gives_up.clone()), &[member(1, 1)]), Next::GoOn);
    let failed = Outcome::Failed(CauseKind::Error, text("no"));
    assert_eq!(next(&mut stored, &plan, answer(member(1, 1), failed), &[]), Next::End);
    assert_eq!(stored.run.status(), Status::Failed);
    assert_eq!(stored.run.state.cause.clone().unwrap().step, Some(text("c")));
    let mut stored = come_to(1);
    next(&mut stored, &plan, answer(member(1, 0), gives_up), &[member(1, 1)]);
    assert_eq!(next(&mut stored, &plan, answer(member(1, 1), finished()), &[]), Next::End);
    assert_eq!(
        (stored.run.status(), statuses(&stored, 1)),
        (Status::Cancelled, vec![Status::Cancelled, Status::Finished])
    );
}

#[test]
fn a_retry_opens_what_failed_and_what_was_cancelled_by_it_and_keeps_what_finished() {
    let (mut stored, plan) = (come_to(2), wide());
    next(&mut stored, &plan, Event::Opened(5), &[]);
    next(&mut stored, &plan, answer(member(2, 0), finished()), &[member(2, 1)]);
    let pending = answer(member(2, 1), Outcome::Pending(Some(seconds(60))));
    next(&mut stored, &plan, pending, &[member(2, 2)]);
    let failed = Outcome::Failed(CauseKind::Error, text("no"));
    assert_eq!(next(&mut stored, &plan, answer(member(2, 2), failed), &[]), Next::End);
    let cause = stored.run.state.cause.clone().unwrap();
    assert_eq!(cause.step, Some(text("d[2]")), "the item is named");
    assert_eq!(next(&mut stored, &plan, Event::Retry, &[]), Next::Wait(Some(at(0))));
    assert_eq!(statuses(&stored, 2), [Status::Finished, Status::Pending, Status::Created]);
    claim(&mut stored, at(0));
    assert_eq!(calls(&stored, &plan, &[], 0), [member(2, 1), member(2, 2)]);
    assert_eq!((fan(&stored), stored.run.state.cause.clone()), ((Some(5), 3, 1, 1), None));
}

#[test]
fn a_list_is_gone_through_a_few_at_a_time_in_order() {
    let (mut stored, plan) = (come_to(2), wide());
    assert_eq!(next(&mut stored, &plan, Event::Opened(5), &[]), Next::GoOn);
    assert_eq!((fan(&stored), statuses(&stored, 2)), ((Some(5), 2, 0, 0), vec![Status::Created; 2]));
    assert_eq!(calls(&stored, &plan, &[], 0), [member(2, 0), member(2, 1)]);
    assert_eq!(next(&mut stored, &plan, answer(member(2, 1), finished()), &[member(2, 0)]), Next::GoOn);
    assert_eq!(fan(&stored), (Some(5), 3, 1, 0), "the next one comes in the same update");
    assert_eq!(calls(&stored, &plan, &[member(2, 0)], 0), [member(2, 2)]);
    let wait = Outcome::Pending(Some(seconds(60)));
    next(&mut stored, &plan, answer(member(2, 0), wait), &[member(2, 2)]);
    for item in 2..5 {
        assert_eq!(fan(&stored).1, item + 1, "one that waits takes one place");
        next(&mut stored, &plan, answer(member(2, item), finished()), &[]);
    }
    assert_eq!((fan(&stored), stored.stage()), ((Some(5), 5, 4, 0), 2));
    assert_eq!(next(&mut stored, &plan, answer(member(2, 0), finished()), &[]), Next::GoOn);
    assert_eq!((stored.stage(), stored.run.state.fan), (3, None));
}

#[test]
fn no_further_item_is_come_to_when_one_has_failed() {
    let (mut stored, plan) = (come_to(2), wide());
    next(&mut stored, &plan, Event::Opened(5), &[]);
    let failed = Outcome::Failed(CauseKind::Error, text("no"));
    assert_eq!(next(&mut stored, &plan, answer(member(2, 0), failed), &[member(2, 1)]), Next::GoOn);
    assert_eq!(next(&mut stored, &plan, answer(member(2, 1), finished()), &[]), Next::End);
    assert_eq!(statuses(&stored, 2), [Status::Failed, Status::Finished], "the others have no record");
}

#[test]
fn an_empty_list_goes_on_at_once_and_one_at_the_end_ends_the_run() {
    let (mut stored, plan) = (come_to(2), wide());
    assert_eq!(next(&mut stored, &plan, Event::Opened(0), &[]), Next::GoOn);
    assert_eq!(stored.stage(), 3);
    let mut short = wide();
    short.stages.truncate(3);
    let mut stored = come_to(2);
    assert_eq!(next(&mut stored, &short, Event::Opened(0), &[]), Next::End);
    assert_eq!((stored.run.status(), stored.run.state.output.clone()), (Status::Finished, None));
}

#[test]
fn the_work_part_leaves_out_what_has_finished() {
    let (mut stored, plan) = (come_to(2), wide());
    next(&mut stored, &plan, Event::Opened(40), &[]);
    for item in (0..30).filter(|item| *item != 7) {
        next(&mut stored, &plan, answer(member(2, item), finished()), &[]);
    }
    let work: Vec<Position> = stored.part(Part::Work).records.into_keys().collect();
    assert_eq!(work, [member(1, 0), member(1, 1), member(2, 7), member(2, 30)]);
    assert_eq!(stored.part(Part::Work).stage(), 2);
    let whole = agenda(&stored, &plan, 5, &[], at(0));
    assert_eq!(agenda(&stored.part(Part::Work), &plan, 5, &[], at(0)), whole, "it is enough to go on");
}

fn child() -> RunId {
    RunId::from_bytes([7; 16])
}

/// A run whose child was started.
fn with_child() -> StoredRun {
    let (mut stored, plan) = (come_to(3), wide());
    let spawn = Outcome::Spawn { run: child(), input: text("[1]") };
    let (next, update) = act(&mut stored, &plan, answer(member(3, 0), spawn), &[], 0);
    assert_eq!(next, Next::Wait(None), "it costs nothing while the child runs");
    let [start] = &update.starts[..] else { panic!("{update:?}") };
    assert_eq!(
        (start.id, &start.definition, &start.input),
        (child(), &definition_key("archive", ["pack"]), &text("[1]"))
    );
    assert_eq!(start.key, Some(Text::from(format!("{}/3.0/0", stored.run.id))));
    let parent = start.parent.unwrap();
    assert_eq!((parent.run, parent.position), (stored.run.id, member(3, 0)));
    claim(&mut stored, at(1));
    stored
}

fn ended(status: Status, reason: Option<&str>) -> Mail {
    Mail::Ended { position: member(3, 0), child: child(), status, reason: reason.map(text) }
}

/// The child has ended like this, which the parent hears and decides on.
fn hears(stored: &mut StoredRun, status: Status, reason: Option<&str>) -> Next {
    let plan = wide();
    stored.receive(&message(1, ended(status, reason)));
    let Agenda::Decide(event) = agenda(stored, &plan, 5, &[], at(1)) else { panic!() };
    let next = next(stored, &plan, event, &[]);
    assert_eq!(stored.untaken().count(), 0, "the message is taken by what it causes");
    next
}

#[test]
fn a_child_that_finishes_finishes_its_step() {
    let mut stored = with_child();
    assert_eq!(hears(&mut stored, Status::Finished, None), Next::GoOn);
    assert_eq!((stored.stage(), statuses(&stored, 3)), (4, vec![Status::Finished]));
    assert_eq!(stored.records[&member(3, 0)].output, None, "the child keeps what it handed on");
}

/// A pause that leaves something undecided does not hold: the run would be claimed and paused for ever.
#[test]
fn how_a_child_ended_is_decided_on_before_a_pause_that_came_earlier() {
    let (mut stored, plan) = (with_child(), wide());
    stored.receive(&message(1, Mail::Pause));
    stored.receive(&message(2, ended(Status::Finished, None)));
    let Agenda::Decide(event) = agenda(&stored, &plan, 5, &[], at(1)) else { panic!() };
    assert!(matches!(event, Event::ChildEnded { .. }), "{event:?}");
    next(&mut stored, &plan, event, &[]);
    let Agenda::Decide(event) = agenda(&stored, &plan, 5, &[], at(1)) else { panic!() };
    assert!(matches!(event, Event::Pause { .. }), "{event:?}");
    next(&mut stored, &plan, event, &[]);
    assert!(stored.run.state.paused);
}

#[test]
fn a_child_that_fails_fails_its_parent_with_its_id_and_a_retry_starts_another() {
    let mut stored = with_child();
    assert_eq!(hears(&mut stored, Status::Failed, Some("the disk is full")), Next::End);
    let cause = stored.run.state.cause.clone().unwrap();
    assert_eq!(cause.kind, CauseKind::Child);
    let text_of_it = format!("run {} of pipeline `archive` failed: the disk is full", child());
    assert_eq!(cause.text, Text::from(text_of_it));
    let plan = wide();
    next(&mut stored, &plan, Event::Retry, &[]);
    claim(&mut stored, at(2));
    assert_eq!(calls(&stored, &plan, &[], 2), [member(3, 0)]);
    let spawn = Outcome::Spawn { run: RunId::from_bytes([8; 16]), input: text("[1]") };
    let (_, update) = act(&mut stored, &plan, answer(member(3, 0), spawn), &[], 2);
    assert_eq!(update.starts[0].key, Some(Text::from(format!("{}/3.0/1", stored.run.id))));
    claim(&mut stored, at(3));
    let late = message(9, ended(Status::Finished, None));
    stored.receive(&late);
    let Agenda::Decide(event) = agenda(&stored, &plan, 5, &[], at(3)) else { panic!() };
    assert_eq!(
        next(&mut stored, &plan, event, &[]),
        Next::Wait(None),
        "the first child has nothing to say any more"
    );
}

#[test]
fn a_cancelled_child_cancels_its_parent_and_a_cancelled_parent_its_child() {
    let mut stored = with_child();
    assert_eq!(hears(&mut stored, Status::Cancelled, Some("enough")), Next::End);
    assert_eq!((stored.run.status(), statuses(&stored, 3)), (Status::Cancelled, vec![Status::Cancelled]));
    let mut stored = with_child();
    let cancel = Event::Cancel { reason: text("enough"), message: None };
    let (next, update) = act(&mut stored, &wide(), cancel, &[], 2);
    let [post] = &update.posts[..] else { panic!("{update:?}") };
    assert_eq!(
        (next, post.to, &post.message.mail),
        (Next::End, child(), &Mail::Cancel { reason: text("enough") })
    );
}

#[test]
fn whoever_started_a_run_hears_of_its_end_whatever_it_is() {
    let parent = prorch_core::model::Parent { run: RunId::from_bytes([5; 16]), position: member(2, 7) };
    let no = Outcome::Failed(CauseKind::Error, text("no"));
    for (event, status, reason) in [
        (crate::bench::answer(0, finished()), Status::Finished, None),
        (crate::bench::answer(0, no), Status::Failed, Some("no")),
        (Event::Cancel { reason: text("enough"), message: None }, Status::Cancelled, Some("enough")),
        (
            Event::Crashed(member(0, 0)),
            Status::Failed,
            Some(
                "0 calls in a row were cut off: each time the process ended, or lost its lease, while this step was being called",
            ),
        ),
    ] {
        let mut stored = claimed();
        stored.run.parent = Some(parent);
        let mut plan = plan();
        plan.stages.truncate(1);
        let (_, update) = act(&mut stored, &plan, event, &[], 0);
        let [post] = &update.posts[..] else { panic!("{update:?}") };
        let child = stored.run.id;
        let said = Mail::Ended { position: parent.position, child, status, reason: reason.map(text) };
        assert_eq!((post.to, &post.message.mail), (parent.run, &said));
        assert_ne!(post.message.id, MessageId::between(child, parent.run, stored.run.epoch.next()));
    }
}

#[test]
fn several_suspects_are_called_one_at_a_time_the_one_that_waits_longest_first() {
    let (mut stored, plan) = (come_to(1), wide());
    stored.run.state.crashes = 2;
    stored.records.get_mut(&member(1, 0)).unwrap().due_at = Some(at(5));
    assert_eq!(calls(&stored, &plan, &[], 9), [member(1, 1)]);
    assert_eq!(agenda(&stored, &plan, 5, &[member(1, 1)], at(9)), Agenda::Await);
    let wait = Outcome::Pending(Some(seconds(1)));
    assert_eq!(act(&mut stored, &plan, answer(member(1, 1), wait), &[], 9).0, Next::GoOn);
    assert_eq!(stored.run.state.crashes, 2, "one answer acquits nobody else");
    let wait = Outcome::Pending(Some(seconds(1)));
    assert_eq!(act(&mut stored, &plan, answer(member(1, 0), wait), &[], 9).0, Next::Wait(Some(at(10))));
    assert_eq!(stored.run.state.crashes, 0);
    stored.run.state.crashes = 5;
    assert_eq!(agenda(&stored, &plan, 5, &[], at(10)), Agenda::Decide(Event::Crashed(member(1, 0))));
}

/// Whatever kills the workers, a member that answers was not it: only claims without any answer count towards the cap.
#[test]
fn an_answer_of_one_of_several_suspects_takes_what_is_counted_towards_the_cap_back() {
    let (mut stored, plan) = (come_to(1), wide());
    stored.run.state.crashes = 4;
    let wait = Outcome::Pending(Some(seconds(1)));
    assert_eq!(act(&mut stored, &plan, answer(member(1, 0), wait), &[], 0).0, Next::GoOn);
    assert_eq!(stored.run.state.crashes, Run::SUSPECT_AFTER, "still suspect, and not one crash from its end");
    stored.run.state.crashes = 5;
    let culprit = Agenda::Decide(Event::Crashed(member(1, 1)));
    assert_eq!(agenda(&stored, &plan, 5, &[], at(9)), culprit, "the one that came to the front");
}

#[test]
fn control_waits_for_the_calls_under_way_and_signals_wake_the_member_that_waits() {
    let (mut stored, plan) = (come_to(1), wide());
    let waits = Outcome::AwaitSignal { name: text("go"), limit: None };
    next(&mut stored, &plan, answer(member(1, 0), waits), &[member(1, 1)]);
    stored.receive(&signal(1, "go"));
    assert_eq!(calls(&stored, &plan, &[member(1, 1)], 0), [member(1, 0)]);
    stored.receive(&message(2, Mail::Pause));
    assert_eq!(agenda(&stored, &plan, 5, &[member(1, 1)], at(0)), Agenda::Await);
    let pause = Event::Pause { message: Some(MessageId::from_bytes([2; 16])) };
    assert_eq!(agenda(&stored, &plan, 5, &[], at(0)), Agenda::Decide(pause));
}

/// A run that is held would be suspect if it were claimed now, since it would count as cut off once more: that is not asked
/// of one that is held.
#[test]
fn the_members_of_a_stage_are_called_one_at_a_time_once_two_calls_were_cut_off() {
    let (mut stored, plan) = (come_to(1), wide());
    stored.run.state.crashes = 1;
    assert_eq!(calls(&stored, &plan, &[], 0), [member(1, 0), member(1, 1)]);
    assert_eq!(calls(&stored, &plan, &[member(1, 0)], 0), [member(1, 1)]);
    stored.run.state.crashes = Run::SUSPECT_AFTER;
    assert_eq!(calls(&stored, &plan, &[], 0), [member(1, 0)]);
    assert_eq!(agenda(&stored, &plan, 5, &[member(1, 0)], at(0)), Agenda::Await);
    let later = answer(member(1, 0), Outcome::Pending(Some(seconds(1))));
    next(&mut stored, &plan, later, &[]);
    assert_eq!(calls(&stored, &plan, &[], 1), [member(1, 1)], "the one that has not been called since");
}
