//! What happened to a run: added with the update that did it, bounded, and gone with the run.

use prorch_core::repository::{
    Answer, Append, Epoch, Guard, HistoryEntry, HistoryKind, Hold, Part, Removal, Repository, Status, Text,
    Update,
};

use super::bench::{Bench, Held, applied, at, id, new_run, signal};

fn entry(n: i64) -> HistoryEntry {
    HistoryEntry::new(HistoryKind::Erred, at(n)).with_text(&format!("the {n}th"))
}

fn append(entries: impl IntoIterator<Item = i64>, most: u32) -> Option<Box<Append>> {
    Some(Box::new(Append { entries: entries.into_iter().map(entry).collect(), most }))
}

fn adding(held: &Held, entries: impl IntoIterator<Item = i64>, most: u32) -> Update {
    Update { history: append(entries, most), ..held.keep() }
}

async fn read<R: Repository>(bench: &Bench<R>, from: u32, limit: usize) -> Vec<(u32, HistoryEntry)> {
    let stored = bench.get(1, Part::History { from, limit }).await.expect("the run is there");
    assert_eq!((stored.records.len(), stored.inbox.len()), (0, 0));
    stored.history.into_iter().collect()
}

async fn numbers<R: Repository>(bench: &Bench<R>) -> Vec<u32> {
    read(bench, 0, 1_000).await.into_iter().map(|(number, _)| number).collect()
}

pub async fn it_grows_with_the_updates_that_apply<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    assert_eq!(numbers(&bench).await, [0; 0]);
    assert_eq!(bench.update(adding(&held, [0], 100)).await, applied(0));
    assert_eq!(bench.update(adding(&held, [1, 2], 100)).await, applied(0));
    let late = Update { guard: Guard::Held(Epoch(0), held.holder), ..adding(&held, [9], 100) };
    assert_eq!(bench.update(late).await, Answer::Stale);
    let post = Update { history: append([9], 100), ..Update::post(id(1), signal(7)) };
    assert_eq!(bench.update(post).await, applied(1));
    let expected: Vec<_> = (0..3).map(|n: u32| (n, entry(n.into()))).collect();
    assert_eq!(read(&bench, 0, 100).await, expected);
    assert_eq!(read(&bench, 1, 1).await, expected[1..2]);
    assert_eq!(bench.row(1).await.state, held.stored.run.state, "nothing else is written by it");
}

pub async fn an_entry_is_kept_to_the_letter<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    let odd = Text::from("it's \"odd\" — ünd\n'; DROP TABLE history; -- 🎈");
    let odd = HistoryEntry {
        step: Some(odd.clone()),
        attempt: Some(u32::MAX),
        text: Some(odd.clone()),
        sender: Some(odd),
        ..HistoryEntry::new(HistoryKind::Signalled, at(5))
    };
    let history = Some(Box::new(Append { entries: vec![odd.clone()], most: 100 }));
    assert_eq!(bench.update(Update { history, ..held.keep() }).await, applied(0));
    assert_eq!(read(&bench, 0, 100).await, [(0, odd)]);
    let nul = HistoryEntry { sender: Some(Text::from("a\0b")), ..entry(1) };
    let history = Some(Box::new(Append { entries: vec![nul], most: 100 }));
    let answer = bench.update(Update { history, ..held.keep() }).await;
    assert!(matches!(answer, Answer::Rejected(_)), "{answer:?}");
}

pub async fn of_too_many_the_first_and_the_last_are_kept<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    for n in 0..15 {
        assert_eq!(bench.update(adding(&held, [n], 15)).await, applied(0));
    }
    assert_eq!(numbers(&bench).await, (0..15).collect::<Vec<_>>());
    for n in 15..40 {
        bench.update(adding(&held, [n], 15)).await;
        assert_eq!(numbers(&bench).await.len(), 15);
    }
    let ten_and_five: Vec<u32> = (0..10).chain(35..40).collect();
    assert_eq!(numbers(&bench).await, ten_and_five);
    assert_eq!(bench.update(adding(&held, 40..90, 15)).await, applied(0), "many at once");
    assert_eq!(numbers(&bench).await, (0..10).chain(85..90).collect::<Vec<_>>());
    assert_eq!(bench.update(adding(&held, [90], 3)).await, applied(0), "fewer are wanted than the first ten");
    assert_eq!(numbers(&bench).await, [0, 1, 2]);
}

pub async fn it_goes_with_the_run<R: Repository>(bench: Bench<R>) {
    let held = bench.held(1).await;
    let state = Some(super::bench::ended(&held.stored.run, Status::Finished));
    let hold = Hold::Release { due_at: None, seen: 0 };
    assert_eq!(bench.update(Update { state, hold, ..adding(&held, 0..5, 100) }).await, applied(0));
    assert_eq!(numbers(&bench).await.len(), 5);
    let run = bench.row(1).await;
    let removal = Some(Removal::UpTo { rows: 10, bytes: 1_000 });
    let remove = Update { removal, ..Update::new(id(1), Guard::Idle(run.epoch), hold, at(9)) };
    let both = Update { history: append([9], 100), ..remove.clone() };
    assert!(matches!(bench.update(both).await, Answer::Rejected(_)), "a removal does nothing else");
    assert_eq!(bench.update(remove).await, Answer::Removed);
    bench.save([new_run(1)]).await;
    assert_eq!(numbers(&bench).await, [0; 0], "nothing is left of it for one of the same id");
}

pub async fn a_message_says_who_sent_it<R: Repository>(bench: Bench<R>) {
    bench.save([new_run(1)]).await;
    let sender = Some(Text::from("ada"));
    assert_eq!(bench.post(1, signal(7).sent_by(sender.clone())).await, applied(1));
    assert_eq!(bench.post(1, signal(8)).await, applied(2));
    let senders: Vec<_> = bench.work(1).await.inbox.into_iter().map(|message| message.sender).collect();
    assert_eq!(senders, [sender, None]);
}
