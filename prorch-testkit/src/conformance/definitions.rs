//! What a run is stored under: the list of steps that it was started with, and another definition later.

use prorch_core::repository::{
    Answer, ClaimRequest, Definition, Filter, Guard, Hold, NewRun, Part, RecordWrite, Repository, Run, Saved,
    Text, Update,
};

use super::bench::{Bench, LEASE, applied, at, definition, id, known, new_run, record, request, worker};

/// A definition of [`new_run`]'s pipeline that has a list.
fn listed(fingerprint: u64) -> Definition {
    let list = Text::from(r#"{"version":2,"stages":[{"steps":["Größe \"a\"", "b"]}]}"#);
    Definition { list, ..definition("backup", fingerprint) }
}

/// What stores an idle run under `new`.
fn moving(run: &Run, new: Definition) -> Update {
    run.adopt(new, at(60))
}

pub async fn the_list_of_steps_comes_back_as_it_was_given<R: Repository>(bench: Bench<R>) {
    let (first, other) = (listed(u64::MAX), Definition { list: Text::from("{}"), ..listed(7) });
    let run = |n, definition: &Definition| NewRun { definition: definition.clone(), ..new_run(n) };
    bench.save([run(1, &first), run(2, &other), run(3, &first), new_run(4)]).await;
    for (n, expected) in [(1, &first), (2, &other), (3, &first), (4, &known())] {
        let found = bench.row(n).await.definition;
        assert_eq!((&found, &found.list), (expected, &expected.list), "run {n}");
    }
    let page = bench.search(&Filter::all()).await;
    assert!(page.runs.iter().any(|run| run.definition.list == first.list));
}

pub async fn a_run_is_stored_under_another_definition<R: Repository>(bench: Bench<R>) {
    bench.save([NewRun { key: Some(Text::from("k")), ..new_run(1) }, new_run(2)]).await;
    let before = bench.whole(1).await;
    assert_eq!(bench.update(moving(&before.run, listed(9))).await, applied(0));
    let after = bench.whole(1).await;
    assert_eq!((&after.run.definition, &after.run.definition.list), (&listed(9), &listed(9).list));
    assert_eq!((after.run.epoch, after.run.due_at), (before.run.epoch.next(), Some(at(60))));
    assert_eq!(after.run.state, before.run.state);
    let found =
        async |definition| bench.find(&Filter { definitions: Some(vec![definition]), ..Filter::all() }).await;
    assert_eq!((found(listed(9)).await, found(known()).await), (vec![1], vec![2]));
    assert_eq!(bench.claimed(&request(10, at(60))).await, [2], "those who know the old one don't get it");
    let asks = ClaimRequest { definitions: [listed(9)].into(), ..request(10, at(60)) };
    assert_eq!(bench.next_due(&asks).await, Some(at(60)));
    let claimed = bench.claim(&asks).await;
    assert_eq!(claimed[0].stored.run.definition.list, listed(9).list);
    let again = NewRun { key: Some(Text::from("k")), ..new_run(3) };
    assert_eq!(bench.save([again]).await, [Saved::Known(id(1))], "its key stays");
}

pub async fn a_holder_stores_its_run_under_another_definition<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    let update = Update { definition: Some(listed(9)), ..held.writing([RecordWrite::New(record(0, 0))]) };
    assert_eq!(bench.update(update.clone()).await, applied(0));
    assert_eq!(bench.update(update).await, applied(0), "sent twice it is the same");
    let whole = bench.whole(1).await;
    assert_eq!((whole.run.definition.list, whole.records.len()), (listed(9).list, 1));
    assert_eq!(bench.update(held.release(None)).await, applied(0));
    assert_eq!(bench.row(1).await.definition, listed(9), "an update that says nothing of it leaves it");
}

pub async fn a_run_stays_one_of_its_pipeline<R: Repository>(bench: Bench<R>) {
    bench.save([new_run(2), NewRun { definition: definition("email", 1), ..new_run(3) }]).await;
    let held = bench.held(1).await;
    let before = bench.whole(1).await;
    for other in ["email", "never stored before"] {
        let update = Update {
            definition: Some(definition(other, 1)),
            starts: vec![new_run(9)],
            ..held.writing([RecordWrite::New(record(0, 0))])
        };
        let answers = bench.batch([update, moving(&bench.row(2).await, listed(9))]).await;
        assert!(matches!(answers[0], Answer::Rejected(_)), "{answers:?}");
        assert_eq!(answers[1], applied(0), "the other one of the batch is applied");
        assert_eq!(bench.whole(1).await, before, "{other}");
        assert_eq!(bench.get(9, Part::Row).await, None);
    }
}

pub async fn whoever_is_late_leaves_a_run_under_its_definition<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    let late = moving(&held.stored.run, listed(9));
    let while_it_is_held = Update { at: at(1), ..late.clone() };
    assert_eq!(bench.update(while_it_is_held).await, Answer::Stale, "somebody holds it");
    let taken = bench.take(1, worker(2), at(31)).await;
    for guard in [
        late.guard,
        Guard::Held(held.stored.run.epoch, worker(1)),
        Guard::Again(held.stored.run.epoch, worker(1)),
    ] {
        let update = Update { guard, at: at(31) + LEASE * 2, ..late.clone() };
        assert_eq!(bench.update(update).await, Answer::Stale, "{guard:?}");
    }
    let post = Update { definition: Some(listed(9)), ..Update::new(id(1), Guard::Post, Hold::Keep, at(32)) };
    assert_eq!(bench.update(post).await, applied(0));
    let row = bench.row(1).await;
    assert_eq!(row, taken.stored.run);
    assert_eq!(row.definition.list, known().list);
}

pub async fn a_run_that_its_worker_left_behind_counts_as_cut_off<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    assert_eq!(bench.update(moving(&held.stored.run, listed(9))).await, applied(0));
    let row = bench.row(1).await;
    assert_eq!((row.state.crashes, row.lease, row.due_at), (1, None, Some(at(60))));
    assert_eq!(row.state.status, held.stored.run.state.status);
    assert_eq!(bench.update(held.keep()).await, Answer::Stale, "its last worker has no power over it");
}
