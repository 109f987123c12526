//! Many callers at one time.

use std::sync::Arc;

use prorch_core::repository::{Answer, ClaimRequest, Guard, Hold, NewRun, Repository, Saved, Text, Update};

use super::bench::{Bench, Held, applied, at, id, new_run, post, request, signal, worker};

/// Runs `task` four times at once, each with its number from 0, and brings what they return.
async fn four<R: Repository, T: Send + 'static>(
    bench: Bench<R>,
    task: impl AsyncTask<R, T>,
) -> (Bench<R>, Vec<T>) {
    let tasks: Vec<_> = (0..4)
        .map(|number| {
            let bench = Bench { repository: Arc::clone(&bench.repository) };
            tokio::spawn(task.run(bench, number))
        })
        .collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.expect("the task does not panic"));
    }
    (bench, results)
}

/// A function from a bench and a number to a future that can be spawned.
trait AsyncTask<R, T> {
    fn run(&self, bench: Bench<R>, number: u8) -> impl Future<Output = T> + Send + 'static;
}

impl<R, T, F, Fut> AsyncTask<R, T> for F
where
    F: Fn(Bench<R>, u8) -> Fut,
    Fut: Future<Output = T> + Send + 'static,
{
    fn run(&self, bench: Bench<R>, number: u8) -> impl Future<Output = T> + Send + 'static {
        self(bench, number)
    }
}

pub async fn claimers_never_share_a_run<R: Repository>(bench: Bench<R>) {
    bench.save((1..=100).map(new_run)).await;
    let (_, claimed) = four(bench, |bench: Bench<R>, number| async move {
        let request = ClaimRequest { holder: worker(number + 1), ..request(7, at(0)) };
        let mut all: Vec<Held> = Vec::new();
        let mut empty = 0;
        // Others may have taken what this one was about to take; so one empty claim is not the end.
        while empty < 20 {
            let claims = bench.claim(&request).await;
            empty = if claims.is_empty() { empty + 1 } else { 0 };
            all.extend(claims);
        }
        for held in &all {
            assert_eq!(bench.update(held.keep()).await, applied(0), "each of them really holds its runs");
        }
        all.iter().map(Held::number).collect::<Vec<_>>()
    })
    .await;
    let mut all = claimed.concat();
    all.sort_unstable();
    assert_eq!(all, Vec::from_iter(1..=100));
}

pub async fn starts_with_one_key_make_one_run<R: Repository>(bench: Bench<R>) {
    let (bench, saved) = four(bench, |bench: Bench<R>, number| async move {
        let mut answers = Vec::new();
        for round in 0..10 {
            let key = Some(Text::from(format!("k{round}")));
            let n = 100 * round + u64::from(number) + 1;
            answers.extend(bench.save([NewRun { key, ..new_run(n) }]).await);
        }
        answers
    })
    .await;
    for round in 0..10 {
        let new = saved.iter().filter(|answers| answers[round] == Saved::New).count();
        assert_eq!(new, 1, "{saved:?}");
    }
    assert_eq!(bench.search(&prorch_core::repository::Filter::all()).await.runs.len(), 10);
}

pub async fn posts_from_everywhere_are_all_numbered<R: Repository>(bench: Bench<R>) {
    bench.save([new_run(1)]).await;
    let (bench, _) = four(bench, |bench: Bench<R>, number| async move {
        for n in 1..=10 {
            let answer = bench.post(1, signal(100 * u64::from(number) + n)).await;
            assert!(matches!(answer, Answer::Applied { .. }));
        }
    })
    .await;
    let work = bench.work(1).await;
    let seqs: Vec<_> = work.inbox.iter().map(|message| message.seq).collect();
    assert_eq!(seqs, Vec::from_iter(1..=40));
    assert_eq!(work.run.inbox_seq, 40);
}

pub async fn one_of_many_readers_wins<R: Repository>(bench: Bench<R>) {
    bench.save([new_run(1)]).await;
    let (bench, wins) = four(bench, |bench: Bench<R>, _| async move {
        let mut wins = 0;
        for _ in 0..10 {
            let read = bench.row(1).await;
            let hold = Hold::Release { due_at: Some(at(0)), seen: 0 };
            let update = Update::new(id(1), Guard::Idle(read.epoch), hold, at(0));
            wins += u64::from(bench.update(update).await == applied(0));
        }
        wins
    })
    .await;
    let wins: u64 = wins.iter().sum();
    assert!(wins >= 10, "somebody always gets through");
    assert_eq!(bench.row(1).await.epoch.0, wins, "each that applied raised the epoch once");
}

pub async fn batches_that_post_to_each_other_do_not_lock_up<R: Repository>(bench: Bench<R>) {
    let mut held = Vec::new();
    for n in 1..=4 {
        held.push(bench.held(n).await);
    }
    let held = Arc::new(held);
    let (bench, _) = four(bench, move |bench: Bench<R>, number| {
        let held = Arc::clone(&held);
        async move {
            for round in 0..10 {
                // Each touches all four runs, each in another order.
                let own = &held[usize::from(number)];
                let message = 1_000 * (u64::from(number) + 1) + 10 * round;
                let others = (0..4).map(|step| (u64::from(number) + step) % 4 + 1);
                let posts = others.map(|to| post(to, signal(message + to))).collect();
                let answer = bench.update(Update { posts, ..own.keep() }).await;
                assert!(matches!(answer, Answer::Applied { .. }), "{answer:?}");
            }
        }
    })
    .await;
    for n in 1..=4 {
        assert_eq!(bench.row(n).await.inbox_seq, 40);
    }
}
