//! A retry: the run goes on at the step that failed, with attempts counted anew, and what was finished stays.

use prorch::Status;

use crate::script::{At, Script, Tell};
use crate::sweep::{Life, sweep};
use crate::told::Wait;

fn retried() -> Script {
    vec![(At::Failed, Tell::Retry)]
}

fn is_done(life: &Life, calls: &[&str]) {
    assert_eq!(life.end.run.status(), Status::Finished, "{life:#?}");
    assert_eq!((life.end.run.state.cause.as_ref(), life.end.run.state.crashes), (None, 0), "{life:#?}");
    assert_eq!(life.answered(), calls, "{life:#?}");
    let errors: Vec<_> = life.end.records.values().map(|record| (record.errors, record.attempt)).collect();
    assert_eq!(errors, [(0, 1); 3], "{life:#?}");
}

#[tokio::test]
async fn a_step_that_erred_goes_on_where_it_was() {
    let calls = ["first", "listen", "heard", "heard", "heard", "last"];
    let calm = sweep(Wait::Errs, &retried(), |life| is_done(life, &calls)).await;
    let attempts: Vec<_> = calm.made.iter().map(|(_, attempt)| *attempt).collect();
    assert_eq!(attempts, [1, 1, 1, 2, 1, 1], "they are counted anew");
}

#[tokio::test]
async fn a_step_that_said_no_begins_anew() {
    let calls = ["first", "listen", "heard", "listen", "heard", "last"];
    let calm = sweep(Wait::Fails, &retried(), |life| is_done(life, &calls)).await;
    assert!(calm.made.iter().all(|(_, attempt)| *attempt == 1), "{calm:#?}");
}
