//! What the steps did, as lines of a file to which all processes append.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use prorch_core::repository::RunId;
use prorch_core::step::StepContext;

/// One line: something that a call of a step did outside of the store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Effect {
    /// The run.
    pub run: RunId,
    /// The step's name.
    pub step: String,
    /// How often the step had answered *pending* before, by the state that the call was given; of a step that goes through
    /// a list, which item it was given.
    pub asked: u32,
    /// The attempt that the call was told.
    pub attempt: u32,
    /// What it did.
    pub does: Does,
    /// The process that it ran in.
    pub pid: u32,
}

/// What a call did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Does {
    /// It began.
    Begins,
    /// It did its work and is about to answer that the step is finished.
    Finishes,
    /// It is about to answer *pending*.
    Waits,
    /// It is about to answer with an error.
    Errs,
}

impl Does {
    const ALL: [(Self, &str); 4] = [
        (Self::Begins, "begins"),
        (Self::Finishes, "finishes"),
        (Self::Waits, "waits"),
        (Self::Errs, "errs"),
    ];

    fn word(self) -> &'static str {
        Self::ALL.into_iter().find(|(does, _)| *does == self).map_or("", |(_, word)| word)
    }

    fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, other)| *other == word).map(|(does, _)| does)
    }
}

/// The file. Each line is one write at its end, which the system keeps whole and in order.
#[derive(Clone, Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: Arc<File>,
}

impl Journal {
    pub(super) fn open(directory: &Path) -> Self {
        let path = directory.join("effects");
        let file =
            OpenOptions::new().append(true).create(true).open(&path).expect("the journal can be opened");
        Self { path, file: Arc::new(file) }
    }

    /// Notes what a call does.
    pub(super) fn write(&self, cx: &StepContext, asked: u32, does: Does) -> std::io::Result<()> {
        let (run, step, attempt, pid) = (cx.run_id(), cx.step_name(), cx.attempt(), std::process::id());
        let line = format!("{run} {step} {asked} {attempt} {} {pid}\n", does.word());
        (&*self.file).write_all(line.as_bytes())
    }

    /// All that was noted, in order. A line that is being written does not count.
    pub(super) fn read(&self) -> Vec<Effect> {
        let text = std::fs::read_to_string(&self.path).expect("the journal can be read");
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| parse(line).unwrap_or_else(|| panic!("no effect: {line:?}"))).collect()
    }
}

fn parse(line: &str) -> Option<Effect> {
    let mut words = line.split(' ');
    let effect = Effect {
        run: words.next()?.parse().ok()?,
        step: words.next()?.to_owned(),
        asked: words.next()?.parse().ok()?,
        attempt: words.next()?.parse().ok()?,
        does: Does::of(words.next()?)?,
        pid: words.next()?.parse().ok()?,
    };
    words.next().is_none().then_some(effect)
}
