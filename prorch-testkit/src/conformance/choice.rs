//! Which of the runs that are due a claim takes.

use prorch_core::repository::{ClaimRequest, NewRun, Repository};

use super::bench::{Bench, NONE, at, new_run, request};

fn run(n: u64, priority: u8, due: i64) -> NewRun {
    NewRun { priority, due_at: at(due), ..new_run(n) }
}

pub async fn no_more_than_the_limit<R: Repository>(bench: Bench<R>) {
    bench.save((1..=20).map(new_run)).await;
    assert_eq!(bench.claimed(&request(0, at(0))).await, NONE);
    assert_eq!(bench.claimed(&request(1, at(0))).await.len(), 1);
    assert_eq!(bench.claimed(&request(8, at(0))).await.len(), 8);
    assert_eq!(bench.claimed(&request(100, at(0))).await.len(), 11);
}

pub async fn the_most_urgent_first<R: Repository>(bench: Bench<R>) {
    bench.save([run(1, 9, -50), run(2, 5, 0), run(3, 0, 0), run(4, 5, 0), run(5, 1, 0)]).await;
    assert_eq!(bench.claimed(&request(2, at(0))).await, [3, 5]);
    assert_eq!(bench.claimed(&request(2, at(0))).await, [2, 4]);
    assert_eq!(bench.claimed(&request(2, at(0))).await, [1]);
}

pub async fn the_longest_due_first_among_equals<R: Repository>(bench: Bench<R>) {
    bench.save([run(1, 5, -1), run(2, 5, -3), run(3, 5, -2), run(4, 5, -4)]).await;
    assert_eq!(bench.claimed(&request(2, at(0))).await, [2, 4]);
    assert_eq!(bench.claimed(&request(2, at(0))).await, [1, 3]);
}

/// Urgent runs 1 to 40, and 41 to 43 that are the least urgent and have waited for long.
async fn crowd<R: Repository>(bench: &Bench<R>) {
    bench.save((1..=40).map(|n| run(n, 0, 0))).await;
    bench.save([run(41, 9, -10), run(42, 9, -30), run(43, 9, -20)]).await;
}

pub async fn of_eight_places_one_goes_to_the_longest_due<R: Repository>(bench: Bench<R>) {
    crowd(&bench).await;
    let claimed = bench.claimed(&request(8, at(0))).await;
    assert_eq!(claimed, [1, 2, 3, 4, 5, 6, 7, 42]);
    let claimed = bench.claimed(&request(7, at(0))).await;
    assert_eq!(claimed, [8, 9, 10, 11, 12, 13, 14], "of fewer places none, if nothing is said");
    let by_age = ClaimRequest { by_age: 2, ..request(1, at(0)) };
    assert_eq!(bench.claimed(&by_age).await, [43], "but no more than there are");
}

pub async fn of_sixteen_places_two_go_to_the_longest_due<R: Repository>(bench: Bench<R>) {
    crowd(&bench).await;
    let claimed = bench.claimed(&request(16, at(0))).await;
    assert_eq!(claimed, Vec::from_iter((1..=14).chain([42, 43])));
}

async fn suspects<R: Repository>(bench: &Bench<R>) {
    for n in [1, 2] {
        let new = NewRun { priority: 0, ..new_run(n) };
        bench.with_state(new, |state| state.crashes = 2).await;
    }
    bench.with_state(new_run(3), |state| state.crashes = 1).await;
    bench.save([new_run(4)]).await;
}

pub async fn a_suspect_is_given_only_to_who_asks<R: Repository>(bench: Bench<R>) {
    suspects(&bench).await;
    assert_eq!(bench.claimed(&request(9, at(0))).await, [3, 4], "one crash is no suspicion");
    assert_eq!(bench.claimed(&request(9, at(0))).await, NONE);
    let suspect = ClaimRequest { suspect: true, ..request(9, at(0)) };
    assert_eq!(bench.claimed(&suspect).await, [1]);
}

pub async fn no_more_than_one_suspect_at_once<R: Repository>(bench: Bench<R>) {
    suspects(&bench).await;
    let suspect = ClaimRequest { suspect: true, ..request(9, at(0)) };
    assert_eq!(bench.claimed(&suspect).await, [1, 3, 4]);
    assert_eq!(bench.claimed(&suspect).await, [2]);
}

pub async fn who_was_cut_off_a_second_time_is_taken_over_as_a_suspect<R: Repository>(bench: Bench<R>) {
    bench.save([new_run(1), new_run(2), new_run(3)]).await;
    assert_eq!(bench.claimed(&request(9, at(0))).await, [1, 2, 3]);
    assert_eq!(bench.claimed(&request(9, at(30))).await, [1, 2, 3], "one crash is no suspicion");
    assert_eq!(bench.claimed(&request(9, at(60))).await, NONE);
    assert_eq!(bench.next_due(&request(9, at(60))).await, None);
    let suspect = ClaimRequest { suspect: true, ..request(9, at(60)) };
    for run in [1, 2, 3] {
        assert_eq!(bench.claimed(&suspect).await, [run]);
    }
}
