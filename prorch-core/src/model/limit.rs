//! Limits: how many runs of a pipeline run, or are worked on, at a time, and how often a step is started.
//!
//! A limit is data of the program and comes with each claim; what is taken of it is kept by the store, under a key.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Mail, Metadata, Run, Status, StoredRun, Text, Timestamp};

/// The limits of a pipeline and of its steps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// How many of its runs have begun and not ended, waits included.
    pub running: Option<Cap>,
    /// How many of its runs are held by a worker.
    pub calls: Option<Cap>,
    /// How often a step is started, by the key of its rate (see [`Rated`]).
    pub rates: BTreeMap<Text, Rate>,
}

/// The most of something at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cap {
    /// So many at a time; at least 1.
    pub most: u32,
    /// For each value that runs have pinned to them under this name by itself; those that have none count together with
    /// those that have an empty text.
    pub per: Option<Text>,
}

/// The kinds of limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitKind {
    /// Runs that have begun and not ended.
    Running,
    /// Runs that a worker holds.
    Calls,
    /// Starts of a step.
    Rate,
}

impl LimitKind {
    const fn word(self) -> &'static str {
        match self {
            Self::Running => "max_running",
            Self::Calls => "max_calls",
            Self::Rate => "rate",
        }
    }

    /// The kind of limit that this key is of.
    #[must_use]
    pub fn of(key: &str) -> Self {
        match key.split(' ').next() {
            Some("max_running") => Self::Running,
            Some("max_calls") => Self::Calls,
            _ => Self::Rate,
        }
    }
}

impl Cap {
    /// The key under which a run of this pipeline counts: words, for whoever asks what a run waits for.
    #[must_use]
    pub fn key(&self, kind: LimitKind, pipeline: &str, metadata: &Metadata) -> Text {
        let word = kind.word();
        let Some(per) = &self.per else { return Text::from(format!("{word} of {pipeline}")) };
        let none = serde_json::Value::String(String::new());
        let value = metadata.get(&**per).unwrap_or(&none);
        Text::from(format!("{word} of {pipeline} where {per} = {value}"))
    }
}

/// How often a step is started: the generic cell rate algorithm (ITU-T I.371), as a virtual schedule. It keeps one time,
/// at which the next start is expected if all come evenly; one that comes no earlier than the burst allows is let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// The time between two starts that come evenly.
    pub every: Duration,
    /// So many starts at once, when there were none for long enough; at least 1.
    pub burst: u32,
}

impl Rate {
    /// `count` starts in each `period`, one at a time. The time between two is rounded up to a microsecond.
    #[must_use]
    pub const fn new(count: u32, period: Duration) -> Self {
        let count = if count == 0 { 1 } else { count };
        let micros = period.as_micros().div_ceil(count as u128);
        let micros = if micros > u64::MAX as u128 { u64::MAX } else { micros as u64 };
        Self { every: Duration::from_micros(micros), burst: 1 }
    }

    /// The same, with so many starts at once.
    #[must_use]
    pub const fn burst(self, burst: u32) -> Self {
        Self { burst: if burst == 0 { 1 } else { burst }, ..self }
    }

    /// From when on the next start is let through, where that was expected at this time.
    #[must_use]
    pub fn opens_at(&self, expected: Timestamp) -> Timestamp {
        let early = self.every.saturating_mul(self.burst.saturating_sub(1)).as_micros();
        let early = i64::try_from(early).unwrap_or(i64::MAX);
        Timestamp::from_micros(expected.as_micros().saturating_sub(early))
    }

    /// When the start after one that is made `now` is expected. One that comes late, by less than the time between two,
    /// puts off none of those behind it: else all that is late would add up, and the rate would never be reached.
    #[must_use]
    pub fn after(&self, expected: Option<Timestamp>, now: Timestamp) -> Timestamp {
        let in_time = expected.map(|expected| expected + self.every).filter(|next| now < *next);
        in_time.unwrap_or(now + self.every)
    }

    /// How many starts are let through at `now`.
    #[must_use]
    pub fn room(&self, expected: Option<Timestamp>, now: Timestamp) -> u32 {
        let Some(expected) = expected else { return self.burst };
        let opens_at = self.opens_at(expected);
        if now < opens_at {
            return 0;
        }
        let more = now.saturating_since(opens_at).as_micros() / self.every.as_micros().max(1);
        u32::try_from(more).unwrap_or(u32::MAX).saturating_add(1).min(self.burst)
    }
}

/// The rate of a step, and the key under which its starts count: steps of one name have it together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rated {
    /// The key.
    pub key: Text,
    /// How often.
    pub rate: Rate,
}

impl Rated {
    /// The rate of the step with this name.
    #[must_use]
    pub fn of(step: &str, rate: Rate) -> Self {
        Self { key: Text::from(format!("{} of {step}", LimitKind::Rate.word())), rate }
    }
}

/// What a run has taken of the limits, and which of them it waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permits {
    /// The key under which it counts as running, from the claim that began it to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<Text>,
    /// The key under which it counts as held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<Text>,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<Blocked>,
}

impl Permits {
    /// Whether nothing is taken or waited for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The keys under which it counts.
    pub fn held(&self) -> impl Iterator<Item = &Text> {
        self.running.iter().chain(&self.calls)
    }

    /// Counts under this key.
    pub fn take(&mut self, key: Text) {
        match LimitKind::of(&key) {
            LimitKind::Running => self.running = Some(key),
            LimitKind::Calls => self.calls = Some(key),
            LimitKind::Rate => {}
        }
    }
}

/// A limit that was full when a worker came to claim the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    /// Its key.
    pub by: Text,
    /// When it lets a run through again, where only time is in the way.
    pub until: Option<Timestamp>,
}

/// What is taken of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// How many runs count under it.
    pub taken: u32,
    /// How many may, as the last claim said.
    pub most: u32,
    /// When the next start is expected, of a rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Timestamp>,
}

impl Gate {
    /// A limit of which nothing is taken.
    pub const NEW: Self = Self { taken: 0, most: u32::MAX, expected: None };

    /// Whether one more may count under it.
    #[must_use]
    pub const fn has_room(&self) -> bool {
        self.taken < self.most
    }
}

/// What a run needs to be claimed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// It counts under these keys, of which it has some.
    pub caps: Vec<Want>,
    /// It starts a step.
    pub rate: Option<Rated>,
}

/// A key that a run counts under while it is claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// The key.
    pub key: Text,
    /// At most so many at a time.
    pub most: u32,
    /// Whether the run counts already.
    pub has: bool,
}

impl Limits {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What this run needs to be claimed under these limits. One that no worker ever held, that took
    /// over nothing, and that a cancel waits for, is claimed only to be ended, and needs nothing.
    #[must_use]
    pub fn wants(&self, stored: &StoredRun) -> Wants {
        let run = &stored.run;
        if run.status().is_terminal() {
            // It is never due: nobody goes on with it, and nobody makes room for it.
            return Wants::default();
        }
        let is_cancel = |mail: &Mail| matches!(mail, Mail::Cancel { .. });
        if run.status() == Status::Created
            && run.origin.is_none()
            && stored.untaken().any(|message| is_cancel(&message.mail))
        {
            return Wants::default();
        }
        let running = want(LimitKind::Running, self.running.as_ref(), run.permits.running.as_ref(), run);
        let calls = want(LimitKind::Calls, self.calls.as_ref(), run.permits.calls.as_ref(), run);
        let key = run.state.starts.as_ref();
        let rate = key.and_then(|key| Some(Rated { key: key.clone(), rate: *self.rates.get(key)? }));
        Wants { caps: running.into_iter().chain(calls).collect(), rate }
    }
}

/// A permit that the run has stays what it is; one that a run above it has is not needed.
fn want(kind: LimitKind, cap: Option<&Cap>, has: Option<&Text>, run: &Run) -> Option<Want> {
    let most = cap.map_or(u32::MAX, |cap| cap.most);
    if let Some(key) = has {
        return Some(Want { key: key.clone(), most, has: true });
    }
    let key = cap?.key(kind, &run.definition.pipeline, &run.state.metadata);
    (!run.spared.contains(&key)).then_some(Want { key, most, has: false })
}

impl Run {
    /// What is pinned to it by which the runs are counted that it starts.
    pub(super) fn counted_by(&self, names: &[Text]) -> Metadata {
        let pinned =
            |name: &Text| self.state.metadata.get(&**name).map(|value| (name.to_string(), value.clone()));
        names.iter().filter_map(pinned).collect()
    }

    /// The row of a run that met a full limit. A claim that was over ends with that: its worker must not come back.
    pub fn park(&mut self, blocked: Blocked) {
        if self.lease.is_some() {
            self.state.crashes = self.crashes_if_claimed();
            self.epoch = self.epoch.next();
            self.lease = None;
        }
        self.permits.calls = None;
        self.permits.blocked = Some(blocked);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_micros(millis * 1_000)
    }

    /// How many of starts that are tried every `step` milliseconds are let through.
    fn through(rate: Rate, step: i64, until: i64) -> usize {
        let mut expected = None;
        let mut tries = (0..=until).step_by(usize::try_from(step).unwrap());
        let mut let_through = |now| {
            let opens = rate.room(expected, at(now)) > 0;
            if opens {
                expected = Some(rate.after(expected, at(now)));
            }
            opens
        };
        tries.by_ref().filter(|now| let_through(*now)).count()
    }

    #[test]
    fn a_rate_is_never_exceeded_and_is_reached() {
        let ten = Rate::new(10, Duration::from_secs(1));
        assert_eq!(through(ten, 1, 20_000), 201);
        assert_eq!(through(ten, 100, 20_000), 201);
        assert_eq!(
            through(ten, 99, 20_000),
            200,
            "one comes too early now and then, and those behind it in time"
        );
        assert_eq!(through(ten, 130, 19_890), 154, "who comes too seldom catches up with nothing");
        assert_eq!(through(ten.burst(5), 1, 20_000), 205);
        assert_eq!(through(Rate::new(3, Duration::from_secs(1)), 1, 1_000), 3, "rounded up, not down");
    }

    #[test]
    fn what_was_saved_up_is_the_burst_at_most() {
        let rate = Rate::new(10, Duration::from_secs(1)).burst(3);
        let expected = Some(at(100));
        let rooms = [-101, -100, 0, 100, 1_000_000].map(|now| rate.room(expected, at(now)));
        assert_eq!(rooms, [0, 1, 2, 3, 3]);
        assert_eq!(rate.room(None, at(0)), 3);
    }

    #[test]
    fn a_key_says_in_words_what_it_is_of() {
        let cap = Cap { most: 3, per: Some(Text::from("tenant")) };
        let metadata: Metadata = [("tenant".to_owned(), "ac\0me".into())].into_iter().collect();
        let key = cap.key(LimitKind::Running, "mail", &metadata);
        assert_eq!(&*key, "max_running of mail where tenant = \"ac\\u0000me\"");
        assert_eq!(
            &*cap.key(LimitKind::Calls, "mail", &Metadata::new()),
            "max_calls of mail where tenant = \"\""
        );
        assert_eq!(&*Cap { per: None, ..cap }.key(LimitKind::Calls, "mail", &metadata), "max_calls of mail");
        assert_eq!(LimitKind::of(&key), LimitKind::Running);
        assert_eq!(LimitKind::of("max_calls of mail"), LimitKind::Calls);
        let rated = Rated::of("max_calls", Rate::new(1, Duration::from_secs(1)));
        assert_eq!(LimitKind::of(&rated.key), LimitKind::Rate);
    }
}
