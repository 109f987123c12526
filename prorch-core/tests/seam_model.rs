//! Every order in which a run that waits for one signal can meet two workers, a poster that asks twice, lost answers,
//! writes that come late, and leases that end.
//!
//! The states are real [`StoredRun`]s in real [`Runs`], the steps between them real [`Update`]s. Three rules keep the
//! signal from being lost or taken twice, and the run from being held by nobody; with any one of them undone the
//! explorer finds the order of events that breaks the promise.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;
use std::slice;
use std::time::Duration;

use prorch_core::repository::{
    Answer, Epoch, Guard, Hold, Lease, Mail, Message, MessageId, NewRun, RunId, Runs, StoredRun, Text,
    Timestamp, Update, WorkerId, definition_key,
};
use serde::Serialize;

/// Time stands still: what would be later is written as what it would be seen from later. So there are finitely many
/// states.
const NOW: Timestamp = Timestamp::from_micros(0);
const LEASE: Duration = Duration::from_secs(30);
const SIGNAL: MessageId = MessageId::from_bytes([7; 16]);

/// Which rule of the seam is undone after (or, for the last, before) a real update was applied.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Without {
    Nothing,
    /// A release is not due at once when a message came that it had not seen.
    ComparingSeen,
    /// A message that was taken is forgotten.
    MarksOfTaken,
    /// A released claim still has its epoch's power.
    EndOfPower,
}

impl Without {
    fn apply(self, stored: &mut StoredRun, update: &Update) -> Answer {
        if let (Self::EndOfPower, Guard::Held(epoch, holder), None) = (self, update.guard, stored.run.lease)
            && stored.run.epoch == epoch
        {
            stored.run.lease = Some(Lease { holder, until: NOW, length: LEASE });
        }
        let mut runs = Runs::from(vec![stored.clone()]);
        let answer = runs.update(slice::from_ref(update)).remove(0);
        *stored = Vec::from(runs).remove(0);
        if let (Self::ComparingSeen, Hold::Release { due_at, .. }, Answer::Applied { .. }) =
            (self, update.hold, &answer)
        {
            stored.run.due_at = due_at;
        }
        if self == Self::MarksOfTaken {
            stored.taken.clear();
        }
        answer
    }
}

#[derive(Clone, Serialize)]
enum Worker {
    Free,
    /// It has read the run and is about to send this claim.
    Read(Update),
    /// It holds the run, and is about to give it back with this update.
    Holds(Epoch, Update),
}

#[derive(Clone, Serialize)]
struct State {
    stored: StoredRun,
    workers: [Worker; 2],
    /// Writes that were sent and may be applied once (more) at any time.
    late: Vec<Update>,
    /// How often the signal had its effect.
    consumed: u32,
    /// A claim whose answer was lost: nobody knows that he holds the run.
    orphan: Option<Epoch>,
    posts_left: u32,
    lease_ends_left: u32,
    claims_left: u32,
}

fn worker(index: usize) -> WorkerId {
    WorkerId::from_bytes([index as u8 + 1; 16])
}

impl State {
    fn first() -> Self {
        let id = RunId::from_bytes([9; 16]);
        let new = NewRun::new(id, definition_key("waits", ["for one signal"]), Text::from("null"), NOW);
        Self {
            stored: StoredRun::new(new),
            workers: [Worker::Free, Worker::Free],
            late: Vec::new(),
            consumed: 0,
            orphan: None,
            posts_left: 2,
            lease_ends_left: 2,
            claims_left: 3,
        }
    }

    /// Everything that may happen next.
    fn next(&self, without: Without) -> Vec<(String, Self)> {
        let mut next = Vec::new();
        if self.posts_left > 0 {
            let mut state = Self { posts_left: self.posts_left - 1, ..self.clone() };
            let mail = Mail::Signal { name: Text::from("go"), payload: Text::from("1") };
            state.send(without, &Update::post(self.stored.run.id, Message::new(SIGNAL, mail, NOW)));
            next.push(("post".to_owned(), state));
        }
        for index in [0, 1] {
            next.extend(self.work(without, index));
        }
        for index in 0..self.late.len() {
            let mut state = self.clone();
            let update = state.late.remove(index);
            let answer = state.send(without, &update);
            if matches!((update.guard, &answer), (Guard::Idle(_), Answer::Applied { .. })) {
                state.orphan = Some(state.stored.run.epoch);
            }
            next.push((format!("late {:?} {:?}", update.guard, update.hold), state));
        }
        if self.lease_ends_left > 0 && self.stored.run.lease.is_some_and(|lease| lease.is_live(NOW)) {
            let mut state = Self { lease_ends_left: self.lease_ends_left - 1, ..self.clone() };
            state.stored.run.lease = state.stored.run.lease.map(|lease| Lease { until: NOW, ..lease });
            state.stored.run.due_at = Some(NOW);
            next.push(("the lease ends".to_owned(), state));
        }
        next
    }

    /// What one of the workers may do next.
    fn work(&self, without: Without, index: usize) -> Vec<(String, Self)> {
        let lease = Lease::new(worker(index), NOW, LEASE);
        let mut next = Vec::new();
        match &self.workers[index] {
            Worker::Free if self.claims_left > 0 && self.stored.run.is_due(NOW) => {
                let mut state = Self { claims_left: self.claims_left - 1, ..self.clone() };
                state.workers[index] = Worker::Read(self.stored.run.claim(lease, NOW));
                next.push((format!("read {index}"), state));
            }
            Worker::Free => {}
            Worker::Read(claim) => {
                let mut state = self.clone();
                let answer = state.send(without, claim);
                let applied = matches!(answer, Answer::Applied { .. });
                let mut lost = state.clone();
                lost.orphan = if applied { Some(state.stored.run.epoch) } else { self.orphan };
                state.workers[index] = if applied { state.holds(worker(index)) } else { Worker::Free };
                next.push((format!("claim {index} {answer:?}"), state));
                lost.workers[index] = Worker::Free;
                next.extend(lost.repeating(claim).map(|lost| (format!("claim {index}, answer lost"), lost)));
            }
            Worker::Holds(epoch, release) => {
                let mut state = self.clone();
                state.workers[index] = Worker::Free;
                let answer = state.send(without, release);
                next.push((format!("release {index} {answer:?}"), state.clone()));
                next.extend(state.repeating(release).map(|lost| (format!("release {index}, lost"), lost)));
                let hold = Hold::Claim(lease);
                let renewal = Update::new(self.stored.run.id, Guard::Held(*epoch, worker(index)), hold, NOW);
                next.extend(
                    self.repeating(&renewal).map(|state| (format!("renewal of {index} sent"), state)),
                );
            }
        }
        next
    }

    /// Applies an update, and counts the signal's effect.
    fn send(&mut self, without: Without, update: &Update) -> Answer {
        let takes = self.stored.untaken().any(|message| update.taken.contains(&message.id));
        let answer = without.apply(&mut self.stored, update);
        self.consumed += u32::from(takes && matches!(answer, Answer::Applied { .. }));
        answer
    }

    /// What the worker knows that claimed the run just now: it takes the signal if it is there.
    fn holds(&self, holder: WorkerId) -> Worker {
        let run = &self.stored.run;
        let hold = Hold::Release { due_at: None, seen: run.inbox_seq };
        let taken = self.stored.untaken().map(|message| message.id).collect();
        let release = Update { taken, ..Update::new(run.id, Guard::Held(run.epoch, holder), hold, NOW) };
        Worker::Holds(run.epoch, release)
    }

    /// The same, with this write still under way; at most two are.
    fn repeating(&self, update: &Update) -> Option<Self> {
        let fits = self.late.len() < 2 && !self.late.contains(update);
        fits.then(|| Self { late: [&self.late[..], slice::from_ref(update)].concat(), ..self.clone() })
    }

    /// Which promise is broken here.
    fn broken(&self) -> Option<&'static str> {
        let run = &self.stored.run;
        let works = |worker: &Worker| matches!(worker, Worker::Holds(epoch, _) if *epoch == run.epoch);
        let held = run.lease.is_some_and(|lease| lease.is_live(NOW));
        let free = self.workers.iter().all(|worker| matches!(worker, Worker::Free));
        let quiet = free && self.posts_left == 0 && self.late.is_empty();
        if self.consumed > 1 {
            return Some("the signal was taken twice");
        }
        if held && self.orphan != Some(run.epoch) && !self.workers.iter().any(works) {
            return Some("held by nobody");
        }
        let sleeps = !held && !run.is_due(NOW);
        (quiet && sleeps && self.stored.untaken().next().is_some()).then_some("asleep with an unread signal")
    }
}

/// The first broken promise with the shortest way to it, if there is one, and how many states were seen.
fn explore(without: Without) -> (Option<(&'static str, Vec<String>)>, usize) {
    let key = |state: &State| serde_json::to_vec(state).unwrap();
    let first = State::first();
    let mut seen = HashSet::from([key(&first)]);
    let mut states = vec![(first, 0, "start".to_owned())];
    let mut at = 0;
    while at < states.len() {
        let state = states[at].0.clone();
        if let Some(promise) = state.broken() {
            return (Some((promise, way(&states, at))), states.len());
        }
        for (event, next) in state.next(without) {
            if seen.insert(key(&next)) {
                states.push((next, at, event));
            }
        }
        at += 1;
    }
    (None, states.len())
}

/// The events that lead to the state at `at`, each state knowing the one before it.
fn way(states: &[(State, usize, String)], mut at: usize) -> Vec<String> {
    let mut events = Vec::new();
    while at > 0 {
        events.push(states[at].2.clone());
        at = states[at].1;
    }
    events.reverse();
    events
}

#[test]
fn with_all_rules_no_order_of_events_breaks_a_promise() {
    let (found, states) = explore(Without::Nothing);
    assert_eq!(found, None);
    assert!(states > 5_000, "only {states} states were explored");
}

#[track_caller]
fn assert_found(without: Without, promise: &str, longest: usize) {
    let (found, _) = explore(without);
    let (broken, way) = found.unwrap_or_else(|| panic!("{without:?} breaks nothing"));
    assert_eq!(broken, promise, "{way:#?}");
    assert!(way.len() <= longest, "{way:#?}");
}

#[test]
fn a_release_that_does_not_compare_what_it_has_seen_loses_the_wake_up() {
    assert_found(Without::ComparingSeen, "asleep with an unread signal", 5);
}

#[test]
fn a_taken_message_that_is_forgotten_is_taken_twice() {
    assert_found(Without::MarksOfTaken, "the signal was taken twice", 8);
}

#[test]
fn a_released_claim_that_keeps_its_power_leaves_the_run_held_by_nobody() {
    assert_found(Without::EndOfPower, "held by nobody", 5);
}
