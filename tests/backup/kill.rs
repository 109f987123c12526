//! SIGKILL at random moments: `PRORCH_KILLS` says how many (8, in the long form 60), `PRORCH_SEED` which (printed with every failure).

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use prorch::repository::{Filter, Part, Position, Repository, StoredRun};
use prorch::{SqliteRepository, Status};
use prorch_testkit::soak::{pick, say};

use crate::bench::{Bench, STEPS};
use crate::example_program::{Random, said, setting};

/// How many are killed side by side: most of the time is spent waiting for leases to end.
const LANES: u64 = 4;

/// Where a kill found the run.
type Place = &'static str;

/// When to kill: so long after the start, or after the first call of a step. The first kind comes everywhere, and
/// seldom to the short steps.
#[derive(Clone, Copy, Debug)]
enum Moment {
    AfterStart(Duration),
    AfterCall(&'static str, Duration),
}

impl Moment {
    fn draw(random: &mut Random, longest: Duration) -> Self {
        let mut within =
            |longest: Duration| Duration::from_micros(random.draw() % longest.as_micros() as u64);
        let (anywhen, soon) = (within(longest), within(Duration::from_millis(30)));
        match STEPS.get((random.draw() % 6) as usize) {
            Some(step) => Self::AfterCall(step, soon),
            None => Self::AfterStart(anywhen),
        }
    }

    /// Returns when it has come, or when the job is done.
    fn wait(self, bench: &Bench, job: &mut Child) {
        match self {
            Self::AfterStart(time) => thread::sleep(time),
            Self::AfterCall(step, time) => {
                let is_called = || bench.journal().iter().any(|(called, _)| called == step);
                while !is_called() && job.try_wait().unwrap().is_none() {
                    thread::sleep(Duration::from_micros(300));
                }
                thread::sleep(time);
            }
        }
    }
}

fn bench() -> Bench {
    Bench::new().with_noise(4, 150_000)
}

fn start(bench: &Bench) -> Child {
    let mut command = bench.command();
    command.args(["--chunk", "16384"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// How long the whole job takes when nobody kills it.
fn whole_job() -> Duration {
    let bench = bench();
    let started = Instant::now();
    assert!(start(&bench).wait_with_output().unwrap().status.success());
    bench.check();
    started.elapsed()
}

/// What is stored of the one run, if it was stored.
fn stored(bench: &Bench) -> Option<StoredRun> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let repository = SqliteRepository::open(bench.database()).unwrap();
    runtime.block_on(async {
        let page = repository.search(&Filter::all()).await.unwrap();
        assert!(page.runs.len() <= 1, "{:?}", page.runs);
        let id = page.runs.first()?.id;
        repository.get(id, Part::Records { from: Position::default(), limit: 10 }).await.unwrap()
    })
}

/// Lets the job run until then, kills it, runs it again, and looks at everything.
fn kill_at(moment: Moment) -> Place {
    let bench = bench();
    let mut job = start(&bench);
    moment.wait(&bench, &mut job);
    job.kill().unwrap();
    job.wait().unwrap();
    let mut text = String::new();
    job.stdout.unwrap().read_to_string(&mut text).unwrap();
    let (calls, stored) = (bench.journal().len(), stored(&bench));
    let was_told = text.contains("receipt: ") && !is_open(&bench);
    if !was_told {
        said(&start(&bench).wait_with_output().unwrap());
    }
    bench.check();
    let since = bench.journal().split_off(calls);
    if let Some(stored) = &stored {
        check_calls(stored, &since);
    }
    if was_told { "told" } else { place(stored.as_ref()) }
}

/// Whether the job has yet to be told as done.
fn is_open(bench: &Bench) -> bool {
    let names = crate::example_program::names_in(bench.database().parent().unwrap());
    names.iter().any(|name| name.starts_with("backup.db.ticket-"))
}

/// No step whose end was committed when the kill came was called since, and a copy went on where it had come to.
fn check_calls(stored: &StoredRun, since: &[(String, String)]) {
    let finished: BTreeSet<&str> = stored
        .records
        .values()
        .filter(|record| record.status == Status::Finished)
        .map(|record| record.name.as_str())
        .collect();
    let again: Vec<_> = since.iter().filter(|(step, _)| finished.contains(step.as_str())).collect();
    assert!(again.is_empty(), "{finished:?} were finished, and called again: {again:?}");
    let copy = stored.records.values().find(|record| record.name.as_str() == STEPS[1]);
    let Some(copy) = copy.filter(|record| record.status == Status::Pending) else { return };
    let Some(state) = &copy.state else { return };
    let state: serde_json::Value = serde_json::from_str(state).unwrap();
    let went_on = since.first().map(|(_, does)| does.clone());
    assert_eq!(went_on, Some(format!("goes on at byte {}", state["Copying"]["copied"])));
}

fn place(stored: Option<&StoredRun>) -> Place {
    let Some(stored) = stored else { return "before the start" };
    if stored.run.status().is_terminal() {
        return "ended";
    }
    let current = stored.current().next().map_or(STEPS[0], |record| record.name.as_str());
    STEPS.into_iter().find(|step| *step == current).unwrap()
}

#[test]
fn one_archive_and_one_receipt_whenever_it_is_killed() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let (kills, seed) = (setting("PRORCH_KILLS", pick(8, 60)), setting("PRORCH_SEED", now.as_nanos() as u64));
    let longest = whole_job();
    say(&format!("{kills} kills of a backup within {longest:?}, PRORCH_SEED={seed}"));
    let lane = |lane: u64| {
        let mut random = Random(seed.wrapping_add(lane));
        let mine = (lane..kills).step_by(LANES as usize);
        mine.map(|_| kill_at(Moment::draw(&mut random, longest))).collect::<Vec<Place>>()
    };
    let lanes = thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES).map(|number| scope.spawn(move || lane(number))).collect();
        lanes.into_iter().map(|lane| lane.join()).collect::<Vec<_>>()
    });
    let mut found = BTreeMap::new();
    for place in lanes.into_iter().flat_map(Result::unwrap) {
        *found.entry(place).or_insert(0) += 1;
    }
    say(&format!("a backup was killed at {found:?}"));
    assert_eq!(found.values().sum::<u64>(), kills);
}
