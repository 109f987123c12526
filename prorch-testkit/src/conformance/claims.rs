//! What a claim takes, and what it leaves.

use prorch_core::repository::{
    ClaimRequest, Lease, NewRun, RecordWrite, Repository, Run, RunState, Status, Text, Update,
};

use super::bench::{
    Bench, LEASE, NONE, applied, at, definition, known, message_id, new_run, position, record, request,
    signal, worker,
};

fn by(n: u8, limit: usize, seconds: i64) -> ClaimRequest {
    ClaimRequest { holder: worker(n), ..request(limit, at(seconds)) }
}

pub async fn a_claim_is_the_run_after_it_was_claimed<R: Repository>(bench: Bench<R>) {
    bench.save([NewRun { priority: 3, ..new_run(1) }]).await;
    let before = bench.row(1).await;
    let claims = bench.claim(&by(2, 9, 5)).await;
    assert_eq!(claims.len(), 1);
    let claimed = &claims[0].stored.run;
    let expected = Run {
        state: RunState { status: Status::Pending, started_at: Some(at(5)), ..before.state.clone() },
        epoch: before.epoch.next(),
        lease: Some(Lease::new(worker(2), at(5), LEASE)),
        due_at: Some(at(35)),
        ..before
    };
    assert_eq!(*claimed, expected);
    assert_eq!(bench.work(1).await, claims[0].stored, "and that is what is stored");
    assert_eq!(bench.update(claims[0].keep()).await, applied(0), "its epoch has power");
}

pub async fn a_claim_brings_what_a_decision_needs<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    let records = (0..4).map(|stage| RecordWrite::New(record(stage, 0)));
    bench.update(held.writing(records)).await;
    for n in 1..=2 {
        bench.post(1, signal(n)).await;
    }
    bench.update(Update { taken: vec![message_id(1)], ..held.release(Some(at(1))) }).await;
    let claims = bench.claim(&by(2, 9, 1)).await;
    let stored = &claims[0].stored;
    assert_eq!(Vec::from_iter(stored.records.keys().copied()), [position(2, 0), position(3, 0)]);
    assert_eq!(stored.inbox.iter().map(|message| message.seq).collect::<Vec<_>>(), [2]);
    assert_eq!(bench.update(claims[0].release(None)).await, applied(2));
    assert_eq!(bench.row(1).await.due_at, None, "the claim had seen all");
}

pub async fn a_second_claim_keeps_the_first_start<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    bench.update(held.release(Some(at(50)))).await;
    let again = &bench.claim(&by(2, 9, 60)).await[0].stored.run;
    assert_eq!(again.state.started_at, Some(at(0)));
    assert_eq!(again.state.crashes, 0, "it was given back");
    assert_eq!(again.epoch, held.stored.run.epoch.next());
}

pub async fn a_take_over_counts_a_crash<R: Repository>(bench: Bench<R>) {
    bench.held(1).await;
    for (crashes, seconds) in [(1, 30), (2, 60), (3, 90)] {
        let request = ClaimRequest { suspect: true, ..by(2, 9, seconds) };
        let claims = bench.claim(&request).await;
        assert_eq!(claims[0].stored.run.state.crashes, crashes);
        assert_eq!(bench.row(1).await.state.crashes, crashes);
    }
}

pub async fn a_claim_makes_a_stuck_run_tried_again<R: Repository>(bench: Bench<R>) {
    bench.with_state(new_run(1), |state| state.stuck = Some(Text::from("no such step"))).await;
    assert_eq!(bench.claimed(&by(2, 9, 0)).await, [1]);
    assert_eq!(bench.row(1).await.state.stuck, None);
}

pub async fn what_is_not_due_is_left<R: Repository>(bench: Bench<R>) {
    bench.save([NewRun { due_at: at(10), ..new_run(1) }]).await;
    bench.with_state(new_run(2), |state| state.paused = true).await;
    let waits = bench.held(3).await;
    bench.update(waits.release(None)).await;
    for (n, status) in (4..).zip([Status::Finished, Status::Failed, Status::Cancelled]) {
        bench.ended(n, status).await;
    }
    assert_eq!(bench.claimed(&by(2, 9, 9)).await, NONE);
    assert_eq!(bench.claimed(&by(2, 9, 10)).await, [1]);
}

pub async fn a_held_run_is_left_until_its_lease_ends<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    for holder in [1, 2] {
        assert_eq!(bench.claimed(&by(holder, 9, 29)).await, NONE, "not even for its holder");
    }
    assert_eq!(bench.row(1).await, held.stored.run);
    assert_eq!(bench.claimed(&by(2, 9, 30)).await, [1]);
}

pub async fn a_lease_of_a_foreign_clock_is_taken_over<R: Repository>(bench: Bench<R>) {
    bench.save([new_run(1), new_run(2)]).await;
    bench.take(1, worker(3), at(3_600)).await;
    bench.take(2, worker(3), at(20)).await;
    assert_eq!(bench.claimed(&by(2, 9, 0)).await, [1], "an hour ahead is foreign, twenty seconds are not");
}

pub async fn a_pass_claims_only_what_was_due_at_its_time<R: Repository>(bench: Bench<R>) {
    bench.save([new_run(1), NewRun { due_at: at(6), ..new_run(2) }]).await;
    let pass = ClaimRequest { due_by: at(5), ..by(1, 9, 7) };
    let claims = bench.claim(&pass).await;
    assert_eq!(claims.len(), 1);
    let lease = claims[0].stored.run.lease;
    assert_eq!(lease, Some(Lease::new(worker(1), at(7), LEASE)), "the lease begins now");
    assert_eq!(bench.claimed(&pass).await, NONE);
    assert_eq!(bench.claimed(&by(1, 9, 7)).await, [2]);
}

pub async fn the_own_runs_of_a_long_pass_take_no_places<R: Repository>(bench: Bench<R>) {
    bench.save([new_run(1), new_run(2), NewRun { priority: 9, ..new_run(3) }]).await;
    // A pass that began at 0 and is still under way: seen from its own time the leases that it gave since look foreign.
    for (n, seconds) in [(1, 40), (2, 50)] {
        bench.take(n, worker(1), at(seconds)).await;
    }
    let pass = ClaimRequest { due_by: at(0), ..by(1, 1, 60) };
    assert_eq!(bench.claimed(&pass).await, [3]);
}

pub async fn unknown_definitions_are_left_untouched<R: Repository>(bench: Bench<R>) {
    let newer = NewRun { definition: definition("backup", 2), priority: 0, ..new_run(1) };
    let other = NewRun { definition: definition("email", 1), priority: 0, ..new_run(2) };
    bench.save([newer, other, new_run(3)]).await;
    let before = (bench.whole(1).await, bench.whole(2).await);
    assert_eq!(bench.claimed(&by(1, 1, 0)).await, [3], "what is unknown takes no place");
    assert_eq!(bench.claimed(&by(1, 9, 0)).await, NONE);
    assert_eq!((bench.whole(1).await, bench.whole(2).await), before);
    let none = ClaimRequest { definitions: [].into(), ..by(1, 9, 0) };
    assert_eq!(bench.claimed(&none).await, NONE);
    let both = ClaimRequest { definitions: [known(), definition("backup", 2)].into(), ..by(1, 9, 0) };
    assert_eq!(bench.claimed(&both).await, [1]);
}

pub async fn what_was_claimed_is_not_claimed_again<R: Repository>(bench: Bench<R>) {
    bench.save((1..=5).map(new_run)).await;
    let first = bench.claimed(&by(1, 3, 0)).await;
    let second = bench.claimed(&by(2, 9, 0)).await;
    assert_eq!((first.len(), second.len()), (3, 2));
    let mut all = [first, second].concat();
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3, 4, 5]);
    assert_eq!(bench.claimed(&by(1, 9, 1)).await, NONE);
}
