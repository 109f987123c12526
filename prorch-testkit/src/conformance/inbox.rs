//! Messages wait in the order in which they came, and none is slept through.

use prorch_core::repository::{Hold, Mail, Message, Repository, RunState, Status, Text, Update};

use super::bench::{Bench, applied, at, id, message_id, new_run, position, post, signal, signal_at, worker};

fn seqs(inbox: &[Message]) -> Vec<u64> {
    inbox.iter().map(|message| message.seq).collect()
}

pub async fn messages_are_numbered_as_they_come<R: Repository>(bench: Bench<R>) {
    bench.save([new_run(1), new_run(2)]).await;
    // Neither the order of the ids nor that of the times counts.
    for (count, message) in (1..).zip([signal_at(9, at(5)), signal_at(3, at(1)), signal_at(6, at(3))]) {
        assert_eq!(bench.post(1, message).await, applied(count));
    }
    let work = bench.work(1).await;
    assert_eq!(seqs(&work.inbox), [1, 2, 3]);
    let ids: Vec<_> = work.inbox.iter().map(|message| message.id).collect();
    assert_eq!(ids, [9, 3, 6].map(message_id));
    assert_eq!(work.run.inbox_seq, 3);
    assert_eq!(bench.row(2).await.inbox_seq, 0, "each run has numbers of its own");
}

pub async fn every_kind_of_mail_is_kept_to_the_letter<R: Repository>(bench: Bench<R>) {
    bench.save([new_run(1)]).await;
    let payload = Text::from("{\"a\": [1, \"😀\\n\", null]}");
    let reasons = [None, Some(Text::default()), Some(Text::from("it's \"gone\" 😀\n")), None, None];
    let ends = (0..).zip(Status::ALL.into_iter().zip(reasons)).map(|(n, (status, reason))| Mail::Ended {
        position: position(70_000 * n, u32::MAX - n),
        child: id(u64::MAX - u64::from(n)),
        status,
        reason,
    });
    let mails = [
        Mail::Signal { name: Text::from("it's \"ready\" 😀"), payload },
        Mail::Signal { name: Text::from("empty"), payload: Text::default() },
        Mail::Cancel { reason: Text::from("line 1\nline 2") },
        Mail::Cancel { reason: Text::default() },
        Mail::Pause,
        Mail::Resume,
    ];
    let mails = mails.into_iter().chain(ends);
    let mut expected = Vec::new();
    for (n, mail) in (1..).zip(mails) {
        let message = Message::new(message_id(n), mail, at(n as i64));
        bench.post(1, message.clone()).await;
        expected.push(Message { seq: n, ..message });
    }
    assert_eq!(bench.work(1).await.inbox, expected);
}

pub async fn the_answer_tells_how_many_messages_came<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    assert_eq!(bench.update(held.keep()).await, applied(0));
    bench.post(1, signal(1)).await;
    bench.post(1, signal(2)).await;
    assert_eq!(bench.update(held.keep()).await, applied(2));
    assert_eq!(bench.update(held.renew(at(1))).await, applied(2));
    assert_eq!(bench.update(held.release(None)).await, applied(2));
}

pub async fn a_release_that_has_seen_all_waits<R: Repository>(bench: Bench<R>) {
    for (n, due_at) in [(1, None), (2, Some(at(500)))] {
        let held = bench.held(n).await;
        bench.post(n, signal(n)).await;
        let hold = Hold::Release { due_at, seen: 1 };
        assert_eq!(bench.update(Update { hold, at: at(7), ..held.keep() }).await, applied(1));
        assert_eq!(bench.row(n).await.due_at, due_at, "the message is untaken, but was seen");
    }
}

pub async fn a_release_that_has_not_seen_all_is_due_at_once<R: Repository>(bench: Bench<R>) {
    for (n, due_at) in [(1, None), (2, Some(at(500)))] {
        let held = bench.held(n).await;
        bench.post(n, signal(2 * n)).await;
        bench.post(n, signal(2 * n + 1)).await;
        let hold = Hold::Release { due_at, seen: 1 };
        assert_eq!(bench.update(Update { hold, at: at(7), ..held.keep() }).await, applied(2));
        assert_eq!(bench.row(n).await.due_at, Some(at(7)));
    }
}

/// A paused run is not claimed: what it does not know it would not get to know.
pub async fn a_release_that_has_not_seen_all_does_not_pause<R: Repository>(bench: Bench<R>) {
    for (n, seen, pauses) in [(1, 0, false), (2, 1, true)] {
        let held = bench.held(n).await;
        bench.post(n, signal(n)).await;
        let state = Some(RunState { paused: true, ..held.stored.run.state.clone() });
        let hold = Hold::Release { due_at: None, seen };
        assert_eq!(bench.update(Update { state, hold, at: at(7), ..held.keep() }).await, applied(1));
        let row = bench.row(n).await;
        assert_eq!((row.state.paused, row.is_due(at(7))), (pauses, !pauses), "run {n}");
    }
}

pub async fn a_post_in_the_same_batch_is_not_overlooked<R: Repository>(bench: Bench<R>) {
    for (n, post_first) in [(1, true), (2, false)] {
        let held = bench.held(n).await;
        let mut batch =
            vec![Update::post(id(n), signal_at(n, at(7))), Update { at: at(7), ..held.release(None) }];
        if !post_first {
            batch.reverse();
        }
        bench.batch(batch).await;
        let row = bench.row(n).await;
        assert_eq!((row.due_at, row.lease, row.inbox_seq), (Some(at(7)), None, 1), "run {n}");
    }
}

pub async fn a_taken_message_leaves_the_inbox_and_the_count_stays<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    for n in 1..=3 {
        bench.post(1, signal(n)).await;
    }
    assert_eq!(bench.update(Update { taken: vec![message_id(2)], ..held.keep() }).await, applied(3));
    let work = bench.work(1).await;
    assert_eq!(seqs(&work.inbox), [1, 3]);
    assert_eq!(work.run.inbox_seq, 3);
    assert_eq!(bench.post(1, signal(4)).await, applied(4), "no number is given twice");
}

pub async fn taking_what_is_not_there_does_nothing<R: Repository>(bench: Bench<R>) {
    bench.save([new_run(2)]).await;
    bench.post(2, signal(1)).await;
    let held = bench.held(1).await;
    let update = Update { taken: vec![message_id(1), message_id(77)], ..held.keep() };
    assert_eq!(bench.update(update).await, applied(0));
    assert_eq!(seqs(&bench.work(2).await.inbox), [1], "a message of another run is not to be taken");
    let posts = vec![post(1, signal(77))];
    assert_eq!(
        bench.update(Update { posts, ..held.keep() }).await,
        applied(1),
        "taken before it came is not taken"
    );
    assert_eq!(bench.take(2, worker(1), at(0)).await.stored.inbox.len(), 1);
}
