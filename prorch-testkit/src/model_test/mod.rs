//! Random sequences of what can happen to runs, on a store of any kind, against a small oracle. See
//! [`model!`](crate::model!).
//!
//! A sequence is worked out from a seed: runs are started, told things, cut off, left to themselves; workers begin, stop,
//! die, stand still and go on; clocks differ and jump; writes are refused, lost, late. After each of these it is looked
//! whether the promises hold, by what was seen at the store and in the steps. In the end all is mended, time passes, and
//! every run must stand as the oracle says, which knows nothing but the run's script and what it was told.
//!
//! | promise | what is looked at |
//! |---|---|
//! | P2 | a step whose end was committed is not called, and its record not written, again |
//! | P3 | who may not changes nothing; each answer is committed once, on top of the one before; attempts count |
//! | P4 | nobody asks the store without end while no time passes |
//! | P5 | a first call that is made at most once is stored before, and made again only when the step said that it may be |
//! | P8 | signals are taken once, in order, with what heard them; what was acknowledged came in; an end is told once |
//! | P9 | nothing is called, and nothing changes, after a cancel or a pause that was done; a cancel goes down |
//! | P10 | two starts with one key are one run, and so are two starts by one record |
//! | P12 | the store answers, and holds, what the one in memory does |
//! | P13 | what passes ends no worker, and fails no run |
//!
//! Nothing but the seed decides what happens: the engines are tasks of one thread, time stands still, and whoever asks the
//! store waits for its answer. So what is found is found again, and made small.

mod script;
mod step;
mod shapes;
mod pipelines;
mod life;
mod journal;
mod kin;
mod scene;
mod store;
mod gate;
mod worker;
mod action;
mod oracle;
mod follow;
mod world;
mod tell;
mod play;
mod shrink;
mod cases;

use std::path::PathBuf;
use std::time::Instant;

use fastrand::Rng;
use prorch_core::repository::Repository;

use self::action::Action;
use self::play::{Done, Wrong};
use crate::soak;

/// Plays random sequences, so many in the short form and so many in the long one, each on a repository of its own that
/// `make` opens in a new directory.
///
/// # Panics
///
/// When one goes wrong: with its seed, what is wrong, and the fewest of its actions after which something is.
pub fn run<R: Repository>(amounts: (u64, u64), make: impl AsyncFn(PathBuf) -> R) {
    let mut chance = soak::chance_of_the_long_form();
    let sequences = soak::pick(amounts.0, amounts.1);
    let (began, mut all) = (Instant::now(), Done::default());
    for number in 0..sequences {
        let actions = action::draw(&mut Rng::with_seed(chance.u64(..)));
        match play_on_new(&make, &actions) {
            Ok(done) => all.add(done),
            Err(wrong) => {
                let took = began.elapsed();
                let (actions, wrong) =
                    shrink::shrink(actions, wrong, |actions| play_on_new(&make, actions).err());
                let actions: Vec<String> = actions.iter().map(|action| format!("  {action:?}\n")).collect();
                let (what, actions) = (wrong.what.join("\n  "), actions.concat());
                panic!("sequence {number}, after {took:.1?}, goes wrong:\n  {what}\nafter\n{actions}");
            }
        }
    }
    let Done { actions, runs, calls } = all;
    let took = began.elapsed();
    soak::say(&format!(
        "{sequences} random sequences with {actions} actions, {runs} runs and {calls} calls of steps, in {took:.1?}"
    ));
}

fn play_on_new<R: Repository>(make: &impl AsyncFn(PathBuf) -> R, actions: &[Action]) -> Result<Done, Wrong> {
    let directory = tempfile::tempdir().expect("a directory for the test");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime for the test");
    runtime.block_on(async { play::play(make(directory.path().to_path_buf()).await, actions).await })
}

impl Done {
    fn add(&mut self, more: Self) {
        self.actions += more.actions;
        self.runs += more.runs;
        self.calls += more.calls;
    }
}
