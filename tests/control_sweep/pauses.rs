//! A pause and a resume: nothing is called in between, and all is done once in the end.

use prorch::Status;
use prorch_testkit::soak::pick;

use crate::script::{At, Tell, done};
use crate::sweep::{Life, sweep};
use crate::told::Wait;

fn is_done(life: &Life) {
    assert_eq!(life.end.run.status(), Status::Finished, "{life:#?}");
    assert!(!life.end.run.state.paused, "{life:#?}");
    assert_eq!(life.answered(), ["first", "listen", "heard", "heard", "last"], "{life:#?}");
}

#[tokio::test]
async fn nothing_is_called_until_it_is_resumed() {
    for at in At::some() {
        sweep(Wait::Polls, &vec![(at, Tell::Pause), (At::Paused, Tell::Resume)], is_done).await;
    }
}

#[tokio::test]
async fn both_at_one_time_change_nothing() {
    for at in At::some() {
        sweep(Wait::Polls, &vec![(at, Tell::Pause), (at, Tell::Resume)], is_done).await;
    }
}

#[tokio::test]
async fn a_signal_that_comes_while_it_is_paused_is_kept() {
    for at in pick(&[At::Call("listen")][..], &[At::Pass(0), At::Call("listen"), At::Pass(1)]).iter().copied()
    {
        let script = vec![
            (at, Tell::Pause),
            (At::Paused, Tell::Signal(1)),
            (At::Paused, Tell::Signal(2)),
            (At::Paused, Tell::Resume),
        ];
        let check = |life: &Life| {
            assert_eq!(life.end.run.status(), Status::Finished, "{life:#?}");
            assert_eq!(done(&life.end).heard, [1, 2], "{life:#?}");
            assert_eq!(life.answered(), ["first", "listen", "heard", "heard", "last"], "{life:#?}");
        };
        for wait in [Wait::Listens, Wait::ListensFor(20)] {
            sweep(wait, &script, check).await;
        }
    }
}
