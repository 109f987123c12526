//! Updates, then a claim, in one call.

use std::sync::Arc;

use prorch_core::repository::{Answer, ClaimRequest, NewRun, RecordWrite, Repository, StepRecord, Update};

use super::bench::{Bench, applied, at, new_run, number, record, request, worker};

async fn turn<R: Repository>(
    bench: &Bench<R>,
    updates: impl IntoIterator<Item = Update>,
    claim: Option<ClaimRequest>,
) -> (Vec<Answer>, Vec<u64>) {
    let updates: Arc<[Update]> = updates.into_iter().collect();
    let turn = bench.repository.turn(updates, claim).await.expect("turn");
    let claims = turn.claims.expect("the claim of the turn");
    for claim in &claims {
        assert_eq!(bench.work(number(claim.stored.run.id)).await, claim.stored);
    }
    (turn.answers, claims.iter().map(|claim| number(claim.stored.run.id)).collect())
}

pub async fn updates_apply_before_the_claim<R: Repository>(bench: Bench<R>) {
    let due = bench.held(1).await;
    let later = bench.held(2).await;
    let updates = [due.release(Some(at(5))), later.release(Some(at(6)))];
    let (answers, claimed) = turn(&bench, updates, Some(request(9, at(5)))).await;
    assert_eq!(answers, vec![applied(0); 2]);
    assert_eq!(claimed, [1], "what the turn released and is due can be claimed by it");
    assert_eq!(bench.update(due.keep()).await, Answer::Stale, "under a new epoch");
}

pub async fn a_run_that_the_turn_starts_can_be_claimed_by_it<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    let starts = vec![new_run(2), NewRun { due_at: at(60), ..new_run(3) }];
    let update = Update { starts, ..held.release(None) };
    let (answers, claimed) = turn(&bench, [update], Some(request(9, at(0)))).await;
    assert_eq!((answers, claimed), (vec![applied(0)], vec![2]));
}

pub async fn a_turn_without_a_claim_claims_nothing<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    let release = held.release(Some(at(0)));
    assert_eq!(turn(&bench, [release], None).await, (vec![applied(0)], vec![]));
    assert_eq!(bench.row(1).await.lease, None);
    assert_eq!(turn(&bench, [], None).await, (vec![], vec![]));
}

pub async fn a_turn_without_updates_only_claims<R: Repository>(bench: Bench<R>) {
    bench.save([new_run(1), new_run(2)]).await;
    let request = ClaimRequest { holder: worker(4), ..request(1, at(0)) };
    let (answers, claimed) = turn(&bench, [], Some(request.clone())).await;
    assert_eq!((answers, claimed.len()), (vec![], 1));
    let (_, other) = turn(&bench, [], Some(request)).await;
    assert_ne!(claimed, other);
}

pub async fn a_bad_update_leaves_the_claim_alone<R: Repository>(bench: Bench<R>) {
    bench.save([new_run(2)]).await;
    let held = bench.held(1).await;
    let unwritable = StepRecord { error: Some("a\0b".into()), ..record(0, 0) };
    let updates = [held.writing([RecordWrite::New(unwritable)]), held.keep()];
    let (answers, claimed) = turn(&bench, updates, Some(request(9, at(0)))).await;
    assert!(matches!(answers[0], Answer::Rejected(_)), "{answers:?}");
    assert_eq!((answers.len(), &answers[1]), (2, &applied(0)));
    assert_eq!(claimed, [2]);
}
