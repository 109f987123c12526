//! Signals: each is heard once, in the order in which they came, whenever they come.

use prorch::Status;
use prorch_testkit::soak::pick;

use crate::script::{At, Script, Tell, done};
use crate::sweep::{Life, sweep};
use crate::told::Wait;

const BEFORE: At = At::Pass(0);
const IN_FIRST: At = At::Call("first");
const AS_IT_BEGINS_TO_WAIT: At = At::Call("listen");
const WHILE_IT_WAITS: At = At::Pass(1);
const AS_IT_HEARS: At = At::Call("heard");
const AFTER_IT_HEARD: At = At::Pass(2);

async fn two_signals(wait: Wait) {
    let all = [
        (BEFORE, BEFORE),
        (BEFORE, IN_FIRST),
        (IN_FIRST, AS_IT_BEGINS_TO_WAIT),
        (AS_IT_BEGINS_TO_WAIT, WHILE_IT_WAITS),
        (WHILE_IT_WAITS, WHILE_IT_WAITS),
        (WHILE_IT_WAITS, AS_IT_HEARS),
        (WHILE_IT_WAITS, AFTER_IT_HEARD),
    ];
    for (one, other) in pick(&all[2..4], &all).iter().copied() {
        let script: Script = vec![(one, Tell::Signal(1)), (other, Tell::Signal(2))];
        let check = |life: &Life| {
            assert_eq!(life.end.run.status(), Status::Finished, "{life:#?}");
            assert_eq!(done(&life.end).heard, [1, 2], "{life:#?}");
            assert_eq!(life.end.run.inbox_seq, 2, "none was doubled: {life:#?}");
            assert_eq!(life.end.untaken().count(), 0, "{life:#?}");
            assert_eq!(life.answered(), ["first", "listen", "heard", "heard", "last"], "{life:#?}");
        };
        sweep(wait, &script, check).await;
    }
}

#[tokio::test]
async fn two_are_heard_in_order_however_long_it_takes() {
    two_signals(Wait::Listens).await;
}

#[tokio::test]
async fn two_are_heard_in_order_within_the_limit() {
    two_signals(Wait::ListensFor(10)).await;
}

#[tokio::test]
async fn a_limit_passes_once() {
    let check = |life: &Life| {
        assert_eq!(life.end.run.status(), Status::Finished, "{life:#?}");
        assert!(done(&life.end).heard.is_empty(), "{life:#?}");
        assert_eq!(life.answered(), ["first", "listen", "heard", "last"], "{life:#?}");
    };
    sweep(Wait::ListensFor(10), &Script::new(), check).await;
}

#[tokio::test]
async fn the_limit_of_the_second_wait_passes_too() {
    let check = |life: &Life| {
        assert_eq!(life.end.run.status(), Status::Finished, "{life:#?}");
        assert_eq!(done(&life.end).heard, [1], "{life:#?}");
        assert_eq!(life.answered(), ["first", "listen", "heard", "heard", "last"], "{life:#?}");
    };
    for at in pick(&[BEFORE][..], &[BEFORE, AS_IT_BEGINS_TO_WAIT, WHILE_IT_WAITS]).iter().copied() {
        sweep(Wait::ListensFor(10), &vec![(at, Tell::Signal(1))], check).await;
    }
}
