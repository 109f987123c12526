//! The chart in `docs/state-machine.md` is what the code does.

use prorch_core::model::{
    CauseKind, Decision, Event, EventKind, Hook, Kept, MessageId, NewRun, Next, Outcome, Plan, Position,
    Refusal, Removal, RunId, Status, StoredRun, transition,
};

use crate::bench::{
    answer, answered, at, claim, created, ended, errored, finished, pending_at, plan, release, stage, text,
};
use crate::rates;
use crate::stages::{self, member};
use crate::{doubt, undo};

const BEGIN: &str = "<!-- chart: begin -->\n";
const END: &str = "<!-- chart: end -->";

/// The kinds of events one after the other: the compiler says when one is missing here.
const fn after(kind: EventKind) -> Option<EventKind> {
    use EventKind::*;
    Some(match kind {
        Finished => Pending,
        Pending => AwaitSignal,
        AwaitSignal => Spawn,
        Spawn => Ticked,
        Ticked => Errored,
        Errored => Failed,
        Failed => StartAgain,
        StartAgain => Cancelled,
        Cancelled => Intended,
        Intended => Begun,
        Begun => Opened,
        Opened => ChildFinished,
        ChildFinished => ChildFailed,
        ChildFailed => ChildCancelled,
        ChildCancelled => Settled,
        Settled => Expired,
        Expired => Crashed,
        Crashed => Leave,
        Leave => Cancel,
        Cancel => Pause,
        Pause => Resume,
        Resume => Retry,
        Retry => Verdict,
        Verdict => Remove,
        Remove => return None,
    })
}

/// The rows of the chart: what happens in words, at which stage of three the run is, and the event.
fn rows() -> Vec<(&'static str, u32, Event)> {
    let waits = Outcome::AwaitSignal { name: text("go"), limit: None };
    vec![
        ("the step answers: finished, another follows", 1, answer(1, finished())),
        ("the step answers: finished, it was the last", 2, answer(2, finished())),
        ("`on_start` answers: pending", 1, answer(1, Outcome::Pending(None))),
        ("the step answers: pending for a time", 1, answer(1, Outcome::Pending(Some(Default::default())))),
        ("a call for many returns, and did not settle the step", 1, unsettled()),
        ("the step answers: waits for a signal", 1, answer(1, waits)),
        ("the step errs, and has attempts left", 1, answer(1, errored())),
        ("the step errs for the last time", 2, answer(2, errored())),
        ("a call for many errs, and the step has attempts left", 1, asked_with_others(errored())),
        ("the step answers: it can't be done", 1, answer(1, Outcome::Failed(CauseKind::Error, text("no")))),
        ("the step answers: cancelled", 1, answer(1, Outcome::Cancelled(text("no")))),
        ("the step's deadline passes", 1, Event::Expired(stage(1))),
        ("the step cut off too many calls", 1, Event::Crashed(stage(1))),
        ("a worker can't go on with the run", 1, Event::Leave(text("unknown"))),
        ("a cancel from outside", 1, Event::Cancel { reason: text("enough"), message: None }),
        ("a pause from outside", 1, Event::Pause { message: None }),
        ("a resume from outside", 1, Event::Resume { message: None }),
        ("a retry from outside", 1, Event::Retry),
        ("the ticks of a schedule come", 0, answer(0, ticks())),
        ("it is removed, having ended long ago", 1, Event::Remove(Removal::Seal)),
    ]
}

/// A tick that starts a run, and one later.
fn ticks() -> Outcome {
    let new = NewRun::new(CHILD, plan().definition, text("1"), at(9));
    Outcome::Ticked { starts: vec![new], next: Some(at(99)) }
}

/// What a call for many leaves of a step that it did not settle.
fn unsettled() -> Event {
    asked_with_others(Outcome::Pending(None))
}

fn asked_with_others(outcome: Outcome) -> Event {
    answered(1, Hook::Continue, outcome, Kept::default())
}

/// The rows about stages with several members and runs of their own: at which stage of the wide plan the run is.
fn wide_rows() -> Vec<(&'static str, u32, Event)> {
    let spawn = Outcome::Spawn { run: CHILD, input: text("1") };
    let ended = |status| Event::ChildEnded {
        position: member(3, 0),
        child: CHILD,
        status,
        reason: None,
        message: MessageId::from_bytes([1; 16]),
    };
    vec![
        ("the run comes to a first stage with several members", 0, Event::Begun),
        ("a member finishes, others have not", 1, stages::answer(member(1, 0), finished())),
        ("a member fails while others are called", 1, stages::answer(member(1, 0), failed())),
        ("a member has failed, and no call is under way", 1, Event::Settled),
        ("the list of an `each` is counted", 2, Event::Opened(2)),
        ("the list of an `each` is empty, another stage follows", 2, Event::Opened(0)),
        ("a step starts a run of its own", 3, stages::answer(member(3, 0), spawn)),
        ("the run that a step started has finished, another stage follows", 3, ended(Status::Finished)),
        ("the run that a step started has failed", 3, ended(Status::Failed)),
        ("the run that a step started was cancelled", 3, ended(Status::Cancelled)),
    ]
}

const CHILD: RunId = RunId::from_bytes([7; 16]);

fn failed() -> Outcome {
    Outcome::Failed(CauseKind::Error, text("no"))
}

/// A pending run at this stage of the wide plan; what is to be there for the event is there.
fn wide_cell(status: Status, stage: u32, event: Event) -> String {
    let plan = if event == Event::Begun { stages::wide_from(1) } else { stages::wide() };
    let mut stored = match status {
        Status::Created if event == Event::Begun => created(),
        Status::Created => return "does not happen".to_owned(),
        Status::Pending => stages::come_to(stage),
        ended_as => ended(ended_as),
    };
    match event.kind() {
        EventKind::Settled if status == Status::Pending => {
            let failing = stages::answer(member(1, 0), failed());
            let next = stages::act(&mut stored, &plan, failing, &[member(1, 1)], 0).0;
            assert_eq!(next, Next::GoOn);
        }
        EventKind::ChildFinished | EventKind::ChildFailed | EventKind::ChildCancelled
            if status == Status::Pending =>
        {
            let spawn = Outcome::Spawn { run: CHILD, input: text("1") };
            stages::act(&mut stored, &plan, stages::answer(member(3, 0), spawn), &[], 0);
        }
        _ => {}
    }
    let under_way = if stage == 1 && event != Event::Settled { &[member(1, 1)][..] } else { &[] };
    shown(&stored, &plan, event, under_way)
}

/// A run in this status, which stands at this stage where it is pending; at the last stage it has erred once.
fn run(status: Status, at_stage: u32) -> StoredRun {
    match status {
        Status::Created => created(),
        Status::Pending => {
            let mut stored = pending_at(at_stage);
            if at_stage == 2 {
                crate::bench::act(&mut stored, &plan(), answer(2, errored()), at(0));
                claim(&mut stored, at(9));
            }
            release(&mut stored, Some(at(0)));
            stored
        }
        ended_as => ended(ended_as),
    }
}

/// A run that no call was answered for is at its first step; what is about the last one needs that to be the same.
fn plan_for(status: Status, at_stage: u32) -> Plan {
    let mut plan = plan();
    if status == Status::Created && at_stage == 2 {
        plan.stages.truncate(1);
        plan.stages[0].steps_mut()[0].policy.retry.max_attempts = 1;
    }
    plan
}

fn cell(status: Status, at_stage: u32, event: Event) -> String {
    let stored = run(status, at_stage);
    assert_eq!(stored.run.status(), status);
    shown(&stored, &plan_for(status, at_stage), event, &[])
}

/// What becomes of the run, as a cell of the chart.
pub(crate) fn shown(stored: &StoredRun, plan: &Plan, event: Event, under_way: &[Position]) -> String {
    let (status, kind, sealed) = (stored.run.status(), event.kind(), stored.run.sealed);
    match transition(stored, plan, event, under_way, at(9)) {
        Err(refusal) => {
            assert_eq!(refusal, Refusal { status, event: kind, undo: stored.run.state.undo_phase(), sealed });
            "refused".to_owned()
        }
        Ok(Decision { removal: Some(_), .. }) => "removed".to_owned(),
        Ok(Decision { state, next, .. }) => {
            let status = state.map_or(status, |state| state.status);
            match next {
                Next::GoOn => format!("{status}, goes on"),
                Next::Wait(_) => format!("{status}, waits"),
                Next::End => format!("**{status}**"),
            }
        }
    }
}

fn chart() -> String {
    let heads = Status::ALL.map(|status| format!(" {status} |")).concat();
    let mut table = format!("| what happens |{heads}\n|---|{}\n", "---|".repeat(Status::ALL.len()));
    for (what, at_stage, event) in rows() {
        let at_first = |status| if status == Status::Created { first(&event) } else { event.clone() };
        let cells = Status::ALL.map(|status| format!(" {} |", cell(status, at_stage, at_first(status))));
        table += &format!("| {what} |{}\n", cells.concat());
    }
    for (what, stage, event) in wide_rows() {
        let cells = Status::ALL.map(|status| format!(" {} |", wide_cell(status, stage, event.clone())));
        table += &format!("| {what} |{}\n", cells.concat());
    }
    for (what, event) in sealed_rows() {
        let cells = Status::ALL.map(|status| format!(" {} |", sealed_cell(status, event.clone())));
        table += &format!("| {what} |{}\n", cells.concat());
    }
    for (what, at_stage, event) in rates::rows() {
        let cells = Status::ALL.map(|status| {
            let event = if status == Status::Created { first(&event) } else { event.clone() };
            format!(" {} |", shown(&run(status, at_stage), &rates::plan(), event, &[]))
        });
        table += &format!("| {what} |{}\n", cells.concat());
    }
    for (what, run, event) in undo::rows() {
        let cells = Status::ALL.map(|status| format!(" {} |", undo::cell(status, run, event.clone())));
        table += &format!("| {what} |{}\n", cells.concat());
    }
    for (what, before, event) in doubt::rows() {
        let cells = Status::ALL.map(|status| format!(" {} |", doubt::cell(status, before, event.clone())));
        table += &format!("| {what} |{}\n", cells.concat());
    }
    table
}

/// The rows about a run that is being removed.
fn sealed_rows() -> [(&'static str, Event); 2] {
    let more = Removal::UpTo { rows: 1, bytes: 1 };
    [
        ("a retry of a run that is being removed", Event::Retry),
        ("more is removed of a run that is being removed", Event::Remove(more)),
    ]
}

fn sealed_cell(status: Status, event: Event) -> String {
    let mut stored = run(status, 1);
    if !status.is_terminal() {
        return "does not happen".to_owned();
    }
    stored.run.sealed = true;
    shown(&stored, &plan(), event, &[])
}

/// The same event about the first step.
fn first(event: &Event) -> Event {
    match event.clone() {
        Event::Answered(mut call, jitter) => {
            call.position = stage(0);
            Event::Answered(call, jitter)
        }
        Event::Expired(_) => Event::Expired(stage(0)),
        Event::Crashed(_) => Event::Crashed(stage(0)),
        other => other,
    }
}

#[test]
fn every_kind_of_event_is_a_row() {
    let of_doubt = doubt::rows().into_iter().map(|(_, _, event)| event.kind());
    let rows: Vec<EventKind> =
        rows().iter().chain(&wide_rows()).map(|(_, _, event)| event.kind()).chain(of_doubt).collect();
    let mut kind = Some(EventKind::Finished);
    while let Some(this) = kind {
        assert!(rows.contains(&this), "{this:?} is in no row of the chart");
        kind = after(this);
    }
}

#[test]
fn the_chart_in_the_docs_is_what_the_code_does() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/state-machine.md");
    let page = std::fs::read_to_string(path).unwrap();
    let shown = page.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END)).map(|(chart, _)| chart);
    let chart = chart();
    assert!(
        shown == Some(&*chart),
        "between the markers of docs/state-machine.md there should be:\n\n{chart}"
    );
}
