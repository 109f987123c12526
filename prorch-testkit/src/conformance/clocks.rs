//! Leases by the clocks of their holders, and what is shown of these.

use std::time::Duration;

use prorch_core::repository::{
    ClaimRequest, Clocks, HolderClock, HolderTime, Leases, NewRun, Repository, Status, Timestamp, Update,
    WorkerId,
};

use super::bench::{Bench, Held, LEASE, at, ended, new_run, request, worker};

const NONE: [u64; 0] = [];

/// What the second worker asks for, who has seen these clocks.
fn seeing(limit: usize, now: Timestamp, seen: &[(WorkerId, Timestamp)]) -> ClaimRequest {
    let times = seen.iter().map(|(holder, over)| HolderTime { holder: *holder, over: *over });
    ClaimRequest { holder: worker(2), leases: Leases::ByHolder(times.collect()), ..request(limit, now) }
}

pub async fn a_lease_is_over_by_the_clock_of_its_holder_alone<R: Repository>(bench: Bench<R>) {
    bench.held(1).await;
    for seen in [&[][..], &[(worker(1), at(29))], &[(worker(2), at(9_999)), (worker(3), at(9_999))]] {
        assert_eq!(bench.claimed(&seeing(9, at(3_600), seen)).await, NONE, "{seen:?}");
    }
    assert_eq!(bench.claimed(&seeing(9, at(3_600), &[(worker(1), at(30))])).await, [1]);
}

pub async fn a_lease_must_be_over_by_the_time_of_the_claim_too<R: Repository>(bench: Bench<R>) {
    bench.held(1).await;
    let seen = [(worker(1), at(9_999))];
    assert_eq!(bench.claimed(&seeing(9, at(29), &seen)).await, NONE);
    assert_eq!(bench.claimed(&seeing(9, at(30), &seen)).await, [1]);
}

pub async fn a_lease_from_the_future_is_its_holders_as_long_as_that_is_not_seen_to_be_there<R: Repository>(
    bench: Bench<R>,
) {
    bench.save([new_run(1)]).await;
    bench.take(1, worker(1), at(3_600)).await;
    assert_eq!(bench.claimed(&seeing(9, at(0), &[(worker(1), at(3_629))])).await, NONE);
    assert_eq!(bench.claimed(&seeing(9, at(0), &[(worker(1), at(3_630))])).await, [1]);
}

pub async fn runs_that_may_not_be_taken_are_not_in_the_way_of_others<R: Repository>(bench: Bench<R>) {
    for n in 1..=20 {
        bench.held(n).await;
    }
    bench.save([new_run(21), NewRun { due_at: at(50), ..new_run(22) }]).await;
    bench.take(21, worker(3), at(5)).await;
    let seen = [(worker(3), at(35))];
    assert_eq!(bench.claimed(&seeing(1, at(40), &seen)).await, [21]);
    assert_eq!(bench.claimed(&seeing(9, at(60), &seen)).await, [22]);
}

pub async fn what_is_held_has_no_time_at_which_it_is_due<R: Repository>(bench: Bench<R>) {
    bench.held(1).await;
    let asks = seeing(9, at(60), &[(worker(1), at(99))]);
    assert_eq!(bench.next_due(&asks).await, None);
    bench.save([NewRun { due_at: at(80), ..new_run(2) }]).await;
    assert_eq!(bench.next_due(&asks).await, Some(at(80)));
    assert_eq!(bench.next_due(&request(9, at(60))).await, Some(at(30)), "by time it has");
}

pub async fn holders_are_shown_with_what_they_stamped<R: Repository>(bench: Bench<R>) {
    let shown = |bench: Bench<R>| async move {
        let clocks = bench.repository.outlook(&request(9, at(0))).await.expect("outlook").clocks;
        (bench, clocks.holders)
    };
    let (bench, none) = shown(bench).await;
    assert_eq!(none, []);
    let held: Held = bench.held(1).await;
    bench.held(2).await;
    bench.save([new_run(3), new_run(4)]).await;
    bench.take(3, worker(2), at(7)).await;
    bench.update(held.renew(at(9))).await;
    let one = HolderClock { holder: worker(1), stamped: at(9), first_end: at(0) + LEASE, length: LEASE };
    let two = HolderClock { holder: worker(2), stamped: at(7), first_end: at(7) + LEASE, length: LEASE };
    let (bench, both) = shown(bench).await;
    assert_eq!(both, [one, two]);
    bench.update(held.release(None)).await;
    let (_, both) = shown(bench).await;
    assert_eq!(both, [HolderClock { stamped: at(0), ..one }, two]);
}

pub async fn the_latest_time_that_anybody_wrote_is_shown<R: Repository>(bench: Bench<R>) {
    let newest = |clocks: Clocks| clocks.newest.expect("something was written");
    let clocks = || async { bench.repository.outlook(&request(9, at(0))).await.expect("outlook").clocks };
    assert_eq!(clocks().await.newest, None);
    bench.save([NewRun { created_at: at(100), due_at: at(100), ..new_run(1) }]).await;
    let nearly = |wanted, found: Timestamp| {
        assert!(found <= wanted && wanted <= found + Duration::from_secs(1), "{found} for {wanted}");
    };
    nearly(at(100), newest(clocks().await));
    bench.save([NewRun { created_at: at(7), ..new_run(2) }]).await;
    nearly(at(100), newest(clocks().await));
    let held = bench.take(2, worker(1), at(200)).await;
    nearly(at(200), newest(clocks().await));
    let state = Some(ended(&held.stored.run, Status::Finished));
    bench.update(Update { state, ..held.release(None) }).await;
    assert!(newest(clocks().await) >= at(99), "a run that ended may be forgotten, one that is open is not");
}
