//! What a schedule says, as it is stored.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Metadata, Text, Timestamp};

/// What becomes of ticks that no worker came to within [`GRACE`](Missed::GRACE), since none was up, say, or the schedule was
/// paused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missed {
    /// They never fire.
    Skip,
    /// The latest of them fires, unless a tick that was not missed fires at the same time.
    #[default]
    Latest,
    /// The latest of them fire, so many, in order.
    All(u32),
}

impl Missed {
    /// A tick that a worker comes to later than this was missed.
    pub const GRACE: std::time::Duration = std::time::Duration::from_secs(60);
    /// The most missed ticks that fire together.
    pub const MOST: u32 = 100;
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skip => f.write_str("skip"),
            Self::Latest => f.write_str("latest"),
            Self::All(limit) => write!(f, "all({limit})"),
        }
    }
}

/// What becomes of a tick while the run of the one before it goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overlap {
    /// It fires.
    #[default]
    Allow,
    /// It never fires.
    Skip,
}

/// What a schedule starts, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScheduleSpec {
    /// The schedule's name.
    pub name: Text,
    /// The name of the pipeline that it starts runs of.
    pub pipeline: Text,
    /// The cron expression.
    pub cron: Text,
    /// The name of the time zone that it is read in.
    pub timezone: Text,
    /// What its runs are started with, as JSON.
    pub input: Text,
    /// What becomes of missed ticks.
    pub missed: Missed,
    /// What becomes of ticks while a run goes on.
    pub overlap: Overlap,
    /// The priority of its runs.
    pub priority: u8,
    /// What is pinned to its runs.
    pub metadata: Metadata,
    /// A fingerprint of the declaration that it comes from; none for one that was made at run time.
    pub declared: Option<u64>,
}

impl ScheduleSpec {
    /// The fingerprint of what it says.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        // Texts and numbers alone can't fail to be encoded.
        let said = serde_json::to_string(&Self { declared: None, ..self.clone() }).unwrap_or_default();
        super::list::fingerprint([said.as_str()])
    }
}

/// What a schedule is told: what it says from now on. It is begun with the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScheduleChange {
    /// What it says.
    pub spec: ScheduleSpec,
    /// Ticks not later than this don't fire, if they are other ones than before.
    pub from: Timestamp,
}

/// How a schedule stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScheduleState {
    /// What it says.
    pub spec: ScheduleSpec,
    /// No tick that is not later than this ever fires.
    pub last: Timestamp,
    /// The last tick that started a run.
    pub fired: Option<Timestamp>,
}

impl ScheduleState {
    /// The signal by which a schedule is changed.
    pub const CHANGE: &str = "prorch.schedule";
    /// The pipeline that a schedule is a run of.
    pub const PIPELINE: &str = "prorch.schedule";
    /// By what its runs are found, and it itself.
    pub const METADATA: &str = "schedule";
    /// The longest name of a schedule, in bytes: its runs have keys made of it.
    pub const MAX_NAME: usize = 200;

    /// As it begins.
    #[must_use]
    pub fn new(begin: ScheduleChange) -> Self {
        Self { spec: begin.spec, last: begin.from, fired: None }
    }

    /// Says something else from now on. Where its ticks stay the same, those that were missed are not forgotten.
    pub fn change(&mut self, change: ScheduleChange) {
        let ticks = |spec: &ScheduleSpec| (spec.cron.clone(), spec.timezone.clone());
        if ticks(&self.spec) != ticks(&change.spec) {
            self.last = self.last.max(change.from);
        }
        self.spec = change.spec;
    }

    /// The key of the run that this tick starts.
    #[must_use]
    pub fn key(&self, tick: Timestamp) -> Text {
        Text::from(format!("{}@{}", self.spec.name, shown(tick)))
    }
}

/// A tick as it stands in keys: it is a whole second.
#[must_use]
pub fn shown(tick: Timestamp) -> String {
    tick.to_string().replace(".000Z", "Z")
}
