//! Limits: what is counted under them, who waits for them, and who goes on when there is room.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prorch_core::repository::{
    Answer, Cap, ClaimRequest, Guard, Hold, Lease, Limits, Mail, Message, NewRun, Order, Rate, Rated,
    Repository, RunState, Status, Text, Timestamp, Update,
};

use super::bench::{
    Bench, Held, LEASE, NONE, applied, at, ended, id, known, message_id, new_run, request, signal_at, worker,
};

fn cap(most: u32) -> Option<Cap> {
    Some(Cap { most, per: None })
}

fn per_tenant(most: u32) -> Option<Cap> {
    Some(Cap { most, per: Some(Text::from("tenant")) })
}

fn running(most: u32) -> Limits {
    Limits { running: cap(most), ..Limits::default() }
}

fn calls(most: u32) -> Limits {
    Limits { calls: cap(most), ..Limits::default() }
}

/// Ten in a second, at even distances, of the step that all runs of [`rated_run`] begin with.
fn ten_a_second() -> Limits {
    let Rated { key, rate } = rated();
    Limits { rates: [(key, rate)].into(), ..Limits::default() }
}

fn rated() -> Rated {
    Rated::of("send", Rate::new(10, Duration::from_secs(1)))
}

fn rated_run(n: u64) -> NewRun {
    NewRun { starts: Some(rated().key), ..new_run(n) }
}

fn of_tenant(n: u64, tenant: &str) -> NewRun {
    NewRun { metadata: BTreeMap::from([("tenant".to_owned(), tenant.into())]), ..new_run(n) }
}

fn within(limits: &Limits, limit: usize, now: Timestamp) -> ClaimRequest {
    let limits = BTreeMap::from([(known().pipeline, limits.clone())]);
    ClaimRequest { limits: Arc::new(limits), ..request(limit, now) }
}

fn millis(millis: i64) -> Timestamp {
    Timestamp::from_micros(at(0).as_micros() + millis * 1_000)
}

impl<R: Repository> Bench<R> {
    async fn end(&self, held: &Held) -> Answer {
        let state = Some(ended(&held.stored.run, Status::Finished));
        self.update(Update { state, ..held.release(None) }).await
    }

    /// Runs with these numbers, one second after the other.
    async fn started(&self, numbers: impl IntoIterator<Item = u64>) {
        let due = |n: u64| NewRun { due_at: millis(n.cast_signed()), ..new_run(n) };
        self.save(numbers.into_iter().map(due)).await;
    }

    /// Those that a worker gets who asks for nine.
    async fn gets(&self, limits: &Limits, seconds: i64) -> Vec<u64> {
        self.claimed(&within(limits, 9, at(seconds))).await
    }

    async fn is_waiting(&self, n: u64) -> bool {
        self.row(n).await.permits.blocked.is_some()
    }
}

fn numbers(held: &[Held]) -> Vec<u64> {
    held.iter().map(Held::number).collect()
}

pub async fn no_more_runs_run_than_may<R: Repository>(bench: Bench<R>) {
    bench.started(1..=9).await;
    let limits = running(3);
    let held = bench.claim(&within(&limits, 9, at(1))).await;
    assert_eq!(numbers(&held), [1, 2, 3]);
    assert_eq!(bench.gets(&limits, 2).await, NONE);
    assert_eq!(bench.next_due(&within(&limits, 9, at(2))).await, Some(at(1) + LEASE), "only the leases end");
    let row = bench.row(4).await;
    let blocked = row.permits.blocked.clone().expect("it waits");
    assert_eq!((&*blocked.by, blocked.until), ("max_running of backup", None));
    assert_eq!((row.status(), row.due_at), (Status::Created, Some(millis(4))), "nothing else of it changed");
    assert_eq!(bench.end(&held[1]).await, applied(0));
    assert_eq!(bench.next_due(&within(&limits, 9, at(2))).await, Some(millis(4)), "it is due, and only it");
    assert_eq!(bench.gets(&limits, 2).await, [4]);
    assert_eq!(bench.gets(&limits, 2).await, NONE);
}

pub async fn a_run_counts_from_its_claim_to_its_end<R: Repository>(bench: Bench<R>) {
    bench.started(1..=3).await;
    let limits = running(1);
    let held = bench.claim(&within(&limits, 9, at(1))).await;
    assert_eq!(numbers(&held), [1]);
    assert_eq!(bench.update(held[0].release(Some(at(50)))).await, applied(0));
    assert_eq!(bench.gets(&limits, 2).await, NONE, "it counts while it waits");
    assert_eq!(bench.next_due(&within(&limits, 9, at(2))).await, Some(at(50)));
    let held = bench.claim(&within(&limits, 9, at(50))).await;
    assert_eq!(numbers(&held), [1], "it has what it needs");
    let lost = bench.claim(&within(&limits, 9, at(90))).await;
    assert_eq!(numbers(&lost), [1], "a crash takes nothing from it");
    assert_eq!(bench.end(&held[0]).await, Answer::Stale, "who lost it frees nothing");
    assert_eq!(bench.gets(&limits, 91).await, NONE);
    assert_eq!(bench.end(&lost[0]).await, applied(0));
    let state = Some(ended(&lost[0].stored.run, Status::Finished));
    let again = Update { state, ..lost[0].release(None) }.again();
    assert_eq!(bench.update(again).await, Answer::Stale, "it is freed once");
    assert_eq!(bench.gets(&limits, 91).await, [2]);
    assert_eq!(bench.gets(&limits, 91).await, NONE);
}

pub async fn whatever_ends_a_run_makes_room<R: Repository>(bench: Bench<R>) {
    bench.started(1..=4).await;
    let limits = running(1);
    let held = bench.claim(&within(&limits, 9, at(1))).await;
    bench.update(held[0].release(None)).await;
    let run = bench.row(1).await;
    let cancel = Hold::Release { due_at: None, seen: 0 };
    let state = Some(ended(&run, Status::Cancelled));
    let update = Update { state, ..Update::new(id(1), Guard::Idle(run.epoch), cancel, at(2)) };
    assert_eq!(bench.update(update).await, applied(0));
    assert!(!bench.is_waiting(2).await, "it was handed over in that transaction");
    // The one that has it now ends before anybody claims it.
    let run = bench.row(2).await;
    let state = Some(ended(&run, Status::Cancelled));
    let update = Update { state, ..Update::new(id(2), Guard::Idle(run.epoch), cancel, at(2)) };
    assert_eq!(bench.update(update).await, applied(0));
    let held = bench.claim(&within(&limits, 9, at(3))).await;
    assert_eq!(numbers(&held), [3]);
    let state = Some(ended(&held[0].stored.run, Status::Failed));
    assert_eq!(bench.update(Update { state, ..held[0].release(None) }).await, applied(0));
    assert_eq!(bench.gets(&limits, 3).await, [4]);
    let run = bench.row(3).await;
    let state = Some(RunState { status: Status::Pending, cause: None, ended_at: None, ..run.state.clone() });
    let due = Hold::Release { due_at: Some(at(3)), seen: 0 };
    let retry = Update { state, ..Update::new(id(3), Guard::Idle(run.epoch), due, at(3)) };
    assert_eq!(bench.update(retry).await, applied(0));
    assert_eq!(bench.gets(&limits, 4).await, NONE, "one that is tried again needs room again");
    assert!(bench.is_waiting(3).await);
}

pub async fn the_most_urgent_goes_on_first_and_of_those_the_longest_due<R: Repository>(bench: Bench<R>) {
    // More than a worker asks for: places that go to the longest due are no reason to let them begin.
    bench.started(1..=12).await;
    let urgent = |n: u64| NewRun { priority: 0, due_at: millis(50 - n.cast_signed()), ..new_run(n) };
    bench.save((20..=28).map(urgent)).await;
    let limits = running(1);
    let mut order = Vec::new();
    for _ in 0..11 {
        let held = bench.claim(&within(&limits, 9, at(1))).await;
        order.extend(numbers(&held));
        bench.end(&held[0]).await;
    }
    assert_eq!(order, (20..=28).rev().chain(1..=2).collect::<Vec<_>>());
}

pub async fn each_value_is_counted_by_itself<R: Repository>(bench: Bench<R>) {
    bench.save([of_tenant(1, "a"), of_tenant(2, "a"), of_tenant(3, "a"), of_tenant(4, "b")]).await;
    bench.save([of_tenant(5, ""), new_run(6), of_tenant(7, "b")]).await;
    let limits = Limits { running: per_tenant(1), calls: cap(9), ..Limits::default() };
    let held = bench.claim(&within(&limits, 2, at(1))).await;
    assert_eq!(numbers(&held), [1, 4], "who is not limited is found behind those that are");
    assert_eq!(bench.gets(&limits, 1).await, [5], "one without a value counts under the empty one");
    let blocked = bench.row(6).await.permits.blocked.expect("it waits");
    assert_eq!(&*blocked.by, "max_running of backup where tenant = \"\"");
    bench.end(&held[1]).await;
    assert_eq!(bench.gets(&limits, 1).await, [7]);
    bench.end(&held[0]).await;
    assert_eq!(bench.gets(&limits, 1).await, [2]);
}

pub async fn a_claim_counts_until_it_is_given_back<R: Repository>(bench: Bench<R>) {
    bench.started(1..=4).await;
    let limits = calls(2);
    let held = bench.claim(&within(&limits, 9, at(1))).await;
    assert_eq!(numbers(&held), [1, 2]);
    assert_eq!(bench.gets(&limits, 1).await, NONE);
    assert_eq!(bench.update(held[0].renew(at(2))).await, applied(0));
    assert_eq!(bench.update(held[0].keep()).await, applied(0));
    assert_eq!(bench.gets(&limits, 2).await, NONE, "a renewal frees nothing");
    assert_eq!(bench.update(held[0].release(Some(at(3)))).await, applied(0));
    assert_eq!(bench.gets(&limits, 3).await, [3], "the longest due that waits has it");
    assert!(bench.is_waiting(1).await, "the one that was given back waits");
    bench.end(&held[1]).await;
    assert_eq!(bench.gets(&limits, 3).await, [4]);
}

pub async fn a_claim_that_is_over_is_counted_once<R: Repository>(bench: Bench<R>) {
    bench.started(1..=3).await;
    let limits = calls(1);
    let dead = bench.claim(&within(&limits, 9, at(1))).await;
    assert_eq!(numbers(&dead), [1]);
    assert_eq!(bench.next_due(&within(&limits, 9, at(2))).await, Some(at(1) + LEASE));
    let taken = bench.claim(&ClaimRequest { holder: worker(2), ..within(&limits, 9, at(60)) }).await;
    assert_eq!(numbers(&taken), [1], "who takes it over takes what it counts under");
    assert_eq!(bench.end(&dead[0]).await, Answer::Stale);
    assert_eq!(bench.gets(&limits, 60).await, NONE);
    bench.end(&taken[0]).await;
    assert_eq!(bench.gets(&limits, 60).await, [2]);
}

pub async fn a_run_that_is_paused_while_it_waits_is_passed_over<R: Repository>(bench: Bench<R>) {
    bench.started(1..=3).await;
    let limits = running(1);
    let held = bench.claim(&within(&limits, 9, at(1))).await;
    let run = bench.row(2).await;
    let hold = Hold::Release { due_at: run.due_at, seen: 0 };
    let pause = |paused, run: &prorch_core::repository::Run| {
        let state = Some(RunState { paused, ..run.state.clone() });
        Update { state, ..Update::new(run.id, Guard::Idle(run.epoch), hold, at(1)) }
    };
    assert_eq!(bench.update(pause(true, &run)).await, applied(0));
    bench.end(&held[0]).await;
    let held = bench.claim(&within(&limits, 9, at(1))).await;
    assert_eq!(numbers(&held), [3]);
    bench.end(&held[0]).await;
    assert_eq!(bench.gets(&limits, 2).await, NONE);
    assert_eq!(bench.update(pause(false, &bench.row(2).await)).await, applied(0));
    assert_eq!(bench.gets(&limits, 2).await, [2], "it asks again when it goes on");
}

pub async fn messages_reach_a_run_that_waits<R: Repository>(bench: Bench<R>) {
    bench.started(1..=3).await;
    let limits = running(1);
    let held = bench.claim(&within(&limits, 1, at(1))).await;
    assert_eq!(bench.gets(&limits, 1).await, NONE);
    assert_eq!(bench.post(2, signal_at(5, at(2))).await, applied(1));
    assert_eq!(bench.gets(&limits, 2).await, NONE, "a signal makes no room");
    assert!(bench.is_waiting(2).await);
    let mail = Mail::Cancel { reason: Text::from("enough") };
    assert_eq!(bench.post(3, Message::new(message_id(6), mail, at(2))).await, applied(1));
    let cancelled = bench.claim(&within(&limits, 9, at(2))).await;
    assert_eq!(numbers(&cancelled), [3], "what is only to be ended needs no room");
    let state = Some(ended(&cancelled[0].stored.run, Status::Cancelled));
    assert_eq!(bench.update(Update { state, ..cancelled[0].release(None) }).await, applied(1));
    assert_eq!(bench.gets(&limits, 2).await, NONE, "it made none either");
    bench.end(&held[0]).await;
    let held = bench.claim(&within(&limits, 9, at(2))).await;
    assert_eq!(numbers(&held), [2]);
    assert_eq!(held[0].stored.inbox.len(), 1);
}

pub async fn a_claim_may_say_that_there_is_more_room_or_less<R: Repository>(bench: Bench<R>) {
    bench.started(1..=9).await;
    let held = bench.claim(&within(&running(1), 9, at(1))).await;
    bench.update(held[0].release(Some(at(2)))).await;
    let held = bench.claim(&within(&running(3), 1, at(2))).await;
    assert_eq!(numbers(&held), [1]);
    let more = bench.claim(&within(&running(3), 9, at(2))).await;
    assert_eq!(numbers(&more), [2, 3]);
    assert_eq!(bench.gets(&running(2), 2).await, NONE);
    for held in &held {
        bench.update(held.release(Some(at(3)))).await;
    }
    let one = bench.claim(&within(&running(2), 9, at(3))).await;
    assert_eq!(numbers(&one), [1], "who has it keeps it");
    bench.end(&one[0]).await;
    assert_eq!(bench.gets(&running(2), 3).await, NONE, "two are left, and no more may be");
    bench.end(&more[0]).await;
    assert_eq!(bench.gets(&running(2), 3).await, [4]);
    bench.update(more[1].release(Some(at(3)))).await;
    assert_eq!(bench.claimed(&request(1, at(4))).await, [3]);
    assert_eq!(bench.claimed(&request(9, at(4))).await, [5, 6, 7, 8, 9], "nothing is limited any more");
}

pub async fn a_run_below_another_does_not_wait_for_what_that_has<R: Repository>(bench: Bench<R>) {
    bench.started(1..=1).await;
    let limits = running(1);
    let held = bench.claim(&within(&limits, 9, at(1))).await;
    let key = held[0].stored.run.permits.running.clone().expect("it counts");
    let child = NewRun { spared: vec![key], ..new_run(2) };
    let update = Update { starts: vec![child, new_run(3)], ..held[0].release(None) };
    assert_eq!(bench.update(update).await, applied(0));
    let below = bench.claim(&within(&limits, 9, at(1))).await;
    assert_eq!(numbers(&below), [2]);
    assert_eq!(below[0].stored.run.permits.running, None);
    bench.end(&below[0]).await;
    assert_eq!(bench.gets(&limits, 1).await, NONE, "it did not count, and freed nothing");
}

pub async fn starts_keep_to_their_rate<R: Repository>(bench: Bench<R>) {
    bench.save((1..=4).map(rated_run)).await;
    bench.save([new_run(9)]).await;
    let limits = ten_a_second();
    let asks = |now| within(&limits, 9, millis(now));
    let held = bench.claim(&asks(0)).await;
    assert_eq!(numbers(&held), [1, 9], "what has no rate does not wait");
    assert_eq!(bench.claimed(&asks(50)).await, NONE);
    assert_eq!(bench.next_due(&asks(50)).await, Some(millis(100)));
    let blocked = bench.row(3).await.permits.blocked.expect("it waits");
    assert_eq!((blocked.by, blocked.until), (rated().key, Some(millis(100))));
    assert_eq!(bench.claimed(&asks(99)).await, NONE);
    assert_eq!(bench.claimed(&asks(100)).await, [2]);
    assert_eq!(bench.claimed(&asks(1_000)).await, [3], "nothing is saved up");
    assert_eq!(bench.next_due(&asks(1_000)).await, Some(millis(1_100)));
    // A start that was cut off is one all the same, and so is the next.
    let state = RunState { starts: None, ..held[0].stored.run.state.clone() };
    let update = Update { state: Some(state), ..held[0].release(Some(millis(1_050))) };
    assert_eq!(bench.update(update).await, applied(0));
    assert_eq!(bench.claimed(&asks(1_050)).await, [1], "what starts nothing does not wait");
    assert_eq!(bench.claimed(&asks(1_100)).await, [4]);
}

pub async fn the_most_urgent_starts_first<R: Repository>(bench: Bench<R>) {
    bench.save((1..=3).map(rated_run)).await;
    let limits = ten_a_second();
    let asks = |now| within(&limits, 9, millis(now));
    assert_eq!(bench.claimed(&asks(0)).await, [1]);
    bench.save([NewRun { priority: 0, ..rated_run(4) }]).await;
    assert_eq!(bench.claimed(&asks(50)).await, NONE);
    let mut order = Vec::new();
    for step in 1..=3 {
        order.extend(bench.claimed(&asks(step * 100)).await);
    }
    assert_eq!(order, [4, 2, 3]);
}

pub async fn a_burst_is_let_through_at_once<R: Repository>(bench: Bench<R>) {
    bench.save((1..=9).map(rated_run)).await;
    let Rated { key, rate } = rated();
    let limits = Limits { rates: [(key, rate.burst(3))].into(), ..Limits::default() };
    let asks = |now| within(&limits, 9, millis(now));
    assert_eq!(bench.claimed(&asks(0)).await, [1, 2, 3]);
    assert_eq!(bench.claimed(&asks(100)).await, [4]);
    assert_eq!(bench.claimed(&asks(10_000)).await, [5, 6, 7]);
}

pub async fn one_that_waits_for_a_rate_holds_no_claim<R: Repository>(bench: Bench<R>) {
    bench.save([rated_run(1), rated_run(2), new_run(3)]).await;
    let limits = Limits { calls: cap(2), running: cap(9), ..ten_a_second() };
    let asks = |now| within(&limits, 9, millis(now));
    let held = bench.claim(&asks(0)).await;
    assert_eq!(numbers(&held), [1, 3]);
    bench.end(&held[0]).await;
    bench.save([NewRun { priority: 9, ..new_run(4) }]).await;
    assert_eq!(bench.claimed(&asks(50)).await, [4]);
    // Both of its worker's claims are over, and another start is not let through yet.
    let late = ClaimRequest { holder: worker(2), ..within(&limits, 9, at(60)) };
    assert_eq!(bench.claimed(&late).await.len(), 2, "no more are held than may be");
}

pub async fn a_limit_is_exact_among_many_claims_at_once<R: Repository>(bench: Bench<R>) {
    let tenants = ["a", "b", "c"];
    bench.save((1..=60).map(|n| of_tenant(n, tenants[n as usize % 3]))).await;
    let limits = Limits { running: per_tenant(4), calls: cap(9), ..Limits::default() };
    let mut tasks = Vec::new();
    for number in 1..=6 {
        let (repository, limits) = (bench.repository.clone(), limits.clone());
        tasks.push(tokio::spawn(async move {
            let bench = Bench { repository };
            let mut done = Vec::new();
            for _ in 0..12 {
                let asks = ClaimRequest { holder: worker(number), ..within(&limits, 5, at(1)) };
                let held = bench.claim(&asks).await;
                assert!(held.len() <= 5);
                tokio::task::yield_now().await;
                for held in &held {
                    assert_eq!(bench.end(held).await, applied(0));
                }
                done.extend(numbers(&held));
            }
            done
        }));
    }
    let mut done = Vec::new();
    for task in tasks {
        done.extend(task.await.expect("the worker ends"));
    }
    loop {
        let held = bench.claim(&within(&limits, 90, at(2))).await;
        assert!(held.len() <= 9, "{}", held.len());
        if held.is_empty() {
            break;
        }
        done.extend(numbers(&held));
        for held in &held {
            bench.end(held).await;
        }
    }
    done.sort_unstable();
    assert_eq!(done, (1..=60).collect::<Vec<_>>(), "each was claimed once, and none was forgotten");
}

pub async fn a_claim_by_an_update_respects_limits_too<R: Repository>(bench: Bench<R>) {
    bench.started(1..=2).await;
    let claim = async |n| {
        let run = bench.row(n).await;
        bench.update(run.claim_within(Some(&running(1)), Lease::new(worker(1), at(1), LEASE), at(1))).await
    };
    assert_eq!(claim(1).await, applied(0));
    assert_eq!(claim(2).await, Answer::Full);
    assert_eq!(claim(2).await, Answer::Full);
    assert!(bench.is_waiting(2).await);
    let held = Held { stored: bench.work(1).await, holder: worker(1) };
    assert_eq!(bench.end(&held).await, applied(0));
    assert_eq!(claim(2).await, applied(0));
}

pub async fn those_that_wait_are_found_by_a_search_and_come_last<R: Repository>(bench: Bench<R>) {
    use prorch_core::repository::Filter;
    bench.started(1..=3).await;
    let held = bench.claim(&within(&running(1), 9, at(1))).await;
    bench.update(held[0].release(Some(at(50)))).await;
    let by_due = Filter { order: Order::Due, ..Filter::active() };
    assert_eq!(bench.find(&by_due).await, [1, 2, 3], "nothing but room makes them claimable");
    let due = Filter { due: Some(at(5)), ..Filter::active() };
    assert_eq!(bench.find(&due).await, NONE);
}
