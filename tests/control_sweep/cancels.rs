//! A cancel: it ends the run wherever that is, with its reason, and no call is made any more.

use prorch::Status;
use prorch::repository::{CauseKind, Mail, StoredRun};
use prorch_testkit::soak::pick;

use crate::script::{At, REASON, Tell};
use crate::sweep::{Life, sweep};
use crate::told::Wait;

/// Whether the run was told already.
fn is_told(stored: &StoredRun) -> bool {
    let waits = stored.untaken().any(|message| matches!(message.mail, Mail::Cancel { .. }));
    waits || stored.run.status() == Status::Cancelled
}

fn is_cancelled(life: &Life) {
    let run = &life.end.run;
    assert_eq!(run.status(), Status::Cancelled, "{life:#?}");
    let cause = run.state.cause.as_ref().unwrap();
    assert_eq!((cause.kind, &*cause.text, &cause.step), (CauseKind::Cancelled, REASON, &None), "{life:#?}");
    let open = life.end.records.values().find(|record| record.is_open());
    assert_eq!(open, None, "{life:#?}");
    assert_eq!((run.lease, run.due_at), (None, None), "{life:#?}");
    if life.at_death.as_ref().is_some_and(is_told) {
        assert_eq!(life.calls_since(), 0, "no call is made after a cancel: {life:#?}");
    }
}

/// One that comes while the last call is under way comes too late, unless that call is cut off.
fn is_cancelled_or_done(life: &Life) {
    if life.end.run.status() == Status::Finished {
        let waits = |stored: &StoredRun| is_told(stored) && !stored.run.status().is_terminal();
        assert!(!life.at_death.as_ref().is_some_and(waits), "{life:#?}");
        assert_eq!(life.answered(), ["first", "listen", "heard", "heard", "last"], "{life:#?}");
    } else {
        assert!(life.fault.is_some_and(|(fault, _)| fault.kills()), "{life:#?}");
        is_cancelled(life);
    }
}

#[tokio::test]
async fn it_ends_the_run_wherever_it_is() {
    for at in At::some() {
        let script = vec![(at, Tell::Cancel)];
        let is_last = at == At::Call("last");
        sweep(
            Wait::Polls,
            &script,
            |life| if is_last { is_cancelled_or_done(life) } else { is_cancelled(life) },
        )
        .await;
    }
}

#[tokio::test]
async fn it_ends_a_run_that_waits_for_a_signal() {
    for wait in [Wait::Listens, Wait::ListensFor(10)] {
        for at in pick(&[At::Pass(1)][..], &[At::Call("listen"), At::Pass(1)]).iter().copied() {
            sweep(wait, &vec![(at, Tell::Cancel)], is_cancelled).await;
        }
    }
}

#[tokio::test]
async fn it_ends_a_run_that_is_paused() {
    for at in pick(&[At::Call("first")][..], &[At::Pass(0), At::Call("first"), At::Pass(1)]).iter().copied() {
        sweep(Wait::Polls, &vec![(at, Tell::Pause), (At::Paused, Tell::Cancel)], is_cancelled).await;
        sweep(Wait::Polls, &vec![(at, Tell::Pause), (at, Tell::Cancel)], is_cancelled).await;
    }
}
