//! A year in each of five time zones with daylight saving: what fires is the stated rule, worked out here minute by minute
//! from what the law of each place says about its clocks.

use std::collections::{BTreeMap, BTreeSet};

use prorch::Missed;
use prorch::repository::{MemoryRepository, Timestamp};
use prorch_testkit::ManualClock;

use crate::bench::{HOUR, orchestrator, ticks};

const YEAR: i64 = 2026;
/// Minutes of an hour, and of a day.
const H: i64 = 60;
const DAY: i64 = 24 * H;

/// A place whose clocks are changed twice a year.
struct Zone {
    name: &'static str,
    /// Minutes ahead of UTC in winter and in summer.
    winter: i64,
    summer: i64,
    /// When summer time begins and ends, in minutes since 1970 in UTC.
    begins: i64,
    ends: i64,
}

fn zones() -> [Zone; 5] {
    let sunday = |month, day| first_sunday_from(YEAR, month, day) * DAY;
    [
        // The last Sunday of March and of October, at 1:00 UTC.
        Zone {
            name: "Europe/Madrid",
            winter: H,
            summer: 2 * H,
            begins: sunday(3, 25) + H,
            ends: sunday(10, 25) + H,
        },
        // The second Sunday of March and the first of November, at 2:00.
        Zone {
            name: "America/New_York",
            winter: -5 * H,
            summer: -4 * H,
            begins: sunday(3, 8) + 2 * H + 5 * H,
            ends: sunday(11, 1) + 2 * H + 4 * H,
        },
        // The first Sunday of October and of April, at 2:00, by half an hour.
        Zone {
            name: "Australia/Lord_Howe",
            winter: 10 * H + 30,
            summer: 11 * H,
            begins: sunday(10, 1) + 2 * H - (10 * H + 30),
            ends: sunday(4, 1) + 2 * H - 11 * H,
        },
        // The first Sunday from the 2nd of September and of April on, at 4:00 and 3:00 UTC: at midnight.
        Zone {
            name: "America/Santiago",
            winter: -4 * H,
            summer: -3 * H,
            begins: sunday(9, 2) + 4 * H,
            ends: sunday(4, 2) + 3 * H,
        },
        // The last Sunday of September, at 2:00, and the first of April, at 3:00.
        Zone {
            name: "Pacific/Auckland",
            winter: 12 * H,
            summer: 13 * H,
            begins: sunday(9, 24) + 2 * H - 12 * H,
            ends: sunday(4, 1) + 3 * H - 13 * H,
        },
    ]
}

/// The day, counted from 1970-01-01: by counting them.
pub(crate) fn days(year: i64, month: i64, day: i64) -> i64 {
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let years: i64 = (1970..year).map(|year| 365 + i64::from(is_leap(year))).sum();
    let lengths = [31, 28 + i64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    years + lengths.iter().take(month as usize - 1).sum::<i64>() + day - 1
}

/// 1970-01-01 was a Thursday; Sunday is 0.
fn weekday(day: i64) -> i64 {
    (day + 4).rem_euclid(7)
}

fn first_sunday_from(year: i64, month: i64, day: i64) -> i64 {
    (days(year, month, day)..).find(|day| weekday(*day) == 0).unwrap()
}

impl Zone {
    /// What the clock on the wall shows at this minute, as if it were UTC.
    fn wall(&self, utc: i64) -> i64 {
        let is_summer = if self.begins < self.ends {
            (self.begins..self.ends).contains(&utc)
        } else {
            !(self.ends..self.begins).contains(&utc)
        };
        utc + if is_summer { self.summer } else { self.winter }
    }
}

/// A cron expression, and the same as a question to a clock on the wall.
struct Expression {
    cron: &'static str,
    names_hours: bool,
    /// Minutes of the day, and the weekday.
    names: fn(minute: i64, weekday: i64) -> bool,
}

const EXPRESSIONS: [Expression; 4] = [
    Expression { cron: "30 2 * * *", names_hours: true, names: |minute, _| minute == 2 * H + 30 },
    Expression { cron: "0,15,45 0-2 * * sun", names_hours: true, names: in_the_night },
    Expression { cron: "30 0-2 * * *", names_hours: true, names: |minute, _| minute % H == 30 && minute < 3 * H },
    Expression { cron: "15 * * * sun", names_hours: false, names: |minute, weekday| minute % H == 15 && weekday == 0 },
];

fn in_the_night(minute: i64, weekday: i64) -> bool {
    [0, 15, 45].contains(&(minute % H)) && minute < 3 * H && weekday == 0
}

impl Expression {
    fn is_named(&self, wall: i64) -> bool {
        (self.names)(wall.rem_euclid(DAY), weekday(wall.div_euclid(DAY)))
    }

    /// The ticks after `from` and up to `to`, in minutes since 1970 in UTC: by looking at the clock in each minute.
    fn ticks(&self, zone: &Zone, from: i64, to: i64) -> BTreeSet<i64> {
        // From a day before, so that what is shown for the first time is.
        let all: Vec<(i64, i64)> = (from - DAY..=to).map(|utc| (utc, zone.wall(utc))).collect();
        if !self.names_hours {
            return all.into_iter().filter(|(utc, wall)| *utc > from && self.is_named(*wall)).map(|(utc, _)| utc).collect();
        }
        let mut shown: BTreeMap<i64, i64> = BTreeMap::new();
        for (utc, wall) in &all {
            shown.entry(*wall).or_insert(*utc);
        }
        let (first, last) = (all[0].1, all[all.len() - 1].1);
        let named = (first..=last).filter(|wall| self.is_named(*wall));
        // One that is skipped fires when the clock shows a later one for the first time.
        named.map(|wall| *shown.range(wall..).next().unwrap().1).filter(|utc| *utc > from).collect()
    }
}

fn shown(minute: i64) -> String {
    let tick = Timestamp::from_micros(minute * 60_000_000).to_string();
    tick.replace(".000Z", "Z")
}

#[tokio::test]
async fn a_year_of_ticks_in_five_zones_with_daylight_saving_is_the_stated_rule() {
    let (from, to) = (days(YEAR, 1, 1) * DAY, days(YEAR + 1, 1, 1) * DAY);
    let clock = ManualClock::at(Timestamp::from_micros(from * 60_000_000));
    let orchestrator = orchestrator(MemoryRepository::new(), &clock);
    let name = |zone: &Zone, expression: &Expression| format!("{} {}", zone.name, expression.cron);
    for zone in &zones() {
        for expression in &EXPRESSIONS {
            let schedule = orchestrator.schedule::<crate::bench::Note>(name(zone, expression), expression.cron, 1);
            schedule.timezone(zone.name).missed(Missed::All(100)).await.unwrap();
        }
    }
    // Twice a day is often enough: what was missed by then fires all the same, under the key of its tick.
    for _ in 0..=2 * (to - from) / DAY {
        orchestrator.execute_pipelines().await.unwrap();
        clock.advance(12 * HOUR);
    }
    let mut changes = 0;
    for zone in &zones() {
        for expression in &EXPRESSIONS {
            let expected: Vec<String> = expression.ticks(zone, from, to).into_iter().map(shown).collect();
            let found = ticks(&orchestrator, &name(zone, expression)).await;
            assert_eq!(found, expected, "{} in {}", expression.cron, zone.name);
            let is_changed = |minute: &i64| zone.wall(minute - 1) + 1 != zone.wall(*minute);
            changes += (from..to).filter(is_changed).count();
        }
    }
    assert_eq!(changes, 5 * EXPRESSIONS.len() * 2, "each zone has two changes in the year");
}
