//! A process freezes inside a write: before the sync of its commit, with the lock that lets it write.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use prorch_core::repository::Status;
use prorch_testkit::disk::EventKind;
use prorch_testkit::soak::{pick, say};

use super::ledger::{Entry, stored};
use super::life::{self, Life, Machine, is_started};
use super::program::{Pace, Task};

/// How many runs there are to be worked on.
const RUNS: u32 = 100;

/// Three programs at work on one file, of which one is frozen.
struct Team {
    machine: Machine,
    programs: Vec<(Task, Life)>,
    frozen: usize,
}

impl Team {
    /// Three programs, one of which froze inside a write and is waited for by the others; the leases of its runs are over.
    fn with_a_frozen_one() -> Self {
        let machine = Machine::new();
        let work = Duration::from_millis(10);
        let first = Task { work, pace: Pace::Slow, ..machine.task("one").starting(4, RUNS / 4 * pick(1, 5)) };
        let mut programs = vec![(first.clone(), machine.begin(&first))];
        machine.wait_for(20, "runs are started", is_started);
        for name in ["two", "three"] {
            let task = Task { work, ..machine.task(name) };
            let life = machine.begin(&task);
            programs.push((task, life));
        }
        for (task, _) in &programs {
            machine.wait_for(20, "all are at work", |entry| is_call_by(entry, &task.name));
        }
        machine.disk.freeze_at_next_sync("-wal").unwrap();
        life::until("one is frozen", || !machine.events(EventKind::Frozen).is_empty());
        let process = machine.events(EventKind::Frozen)[0].process;
        let frozen = programs.iter().position(|(_, life)| life.id() == process).unwrap();
        let team = Self { machine, programs, frozen };
        team.wait_for_the_others_to_say_so(process);
        team
    }

    /// The log of each of the others names the process that holds the file. Before they do, they wait for longer than a lease.
    fn wait_for_the_others_to_say_so(&self, process: u32) {
        let named = format!("process {process} holds the file");
        for (task, _) in self.others() {
            life::until("it is logged who holds the file", || self.machine.log(task).contains(&named));
        }
    }

    fn others(&self) -> impl Iterator<Item = &(Task, Life)> {
        self.programs
            .iter()
            .enumerate()
            .filter(|(place, _)| *place != self.frozen)
            .map(|(_, program)| program)
    }

    /// The runs that the frozen one was working on when it froze.
    fn held(&self) -> BTreeSet<String> {
        let (mut held, name) = (BTreeSet::new(), &self.programs[self.frozen].0.name);
        for entry in self.machine.ledger.read() {
            let Entry::Called(key, place, by) = entry else { continue };
            // After the last step's call it may be that nothing is left to do.
            if by == *name && place < (2, 0) {
                held.insert(key)
            } else {
                held.remove(&key)
            };
        }
        held
    }

    /// Kills the frozen one, and says how long it takes until others have called the steps of all runs that it held.
    fn kill_and_take_over(&mut self) -> (usize, Duration) {
        let (held, before) = (self.held(), self.machine.ledger.read().len());
        let (task, life) = &mut self.programs[self.frozen];
        let began = Instant::now();
        life.kill();
        life::until("others have taken over", || {
            let called =
                self.machine.ledger.read().into_iter().skip(before).filter_map(|entry| match entry {
                    Entry::Called(key, _, by) if by != task.name => Some(key),
                    _ => None,
                });
            held.is_subset(&called.collect())
        });
        (held.len(), began.elapsed())
    }

    /// All runs end, nobody was told of an error, and no step was called after its end was acknowledged.
    async fn end(&mut self, without: Option<usize>) {
        for (place, (task, life)) in self.programs.iter_mut().enumerate() {
            if without != Some(place) {
                assert!(life.end().success(), "{}", self.machine.said(task));
            }
            let log = self.machine.log(task);
            assert!(!log.contains("ERROR"), "{log}");
        }
        let failed =
            |entry: &Entry| !matches!(entry, Entry::Started(_) | Entry::Called(..) | Entry::Ended(_));
        let failed: Vec<Entry> = self.machine.ledger.read().into_iter().filter(failed).collect();
        assert_eq!(failed, []);
        assert_eq!(self.machine.findings().await, [""; 0]);
        let copy = tempfile::tempdir().unwrap();
        let runs = stored(&self.machine.copy(copy.path())).await;
        assert!(runs.values().all(|run| run.status() == Status::Finished), "a run has not ended");
    }
}

fn is_call_by(entry: &Entry, name: &str) -> bool {
    matches!(entry, Entry::Called(_, _, by) if by == name)
}

#[tokio::test]
async fn once_it_is_killed_the_others_take_over() {
    let mut team = Team::with_a_frozen_one();
    let (frozen, (held, took)) = (team.frozen, team.kill_and_take_over());
    say(&format!("frozen inside a write and killed: {held} runs taken over after {took:?}"));
    assert!(took < Duration::from_secs(10), "{took:?}");
    team.end(Some(frozen)).await;
}

#[tokio::test]
async fn once_it_is_woken_what_it_does_is_harmless() {
    let mut team = Team::with_a_frozen_one();
    team.programs[team.frozen].1.wake();
    team.end(None).await;
    let woken = team.machine.log(&team.programs[team.frozen].0);
    say(&format!(
        "frozen inside a write and woken: it says of {} runs that they are lost",
        woken.matches("lost the run").count()
    ));
}
