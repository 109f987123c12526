//! A year in each of five time zones with daylight saving: what fires is the stated rule, worked out here minute by minute
//! from what the law of each place says about its clocks.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use prorch::Missed;
use prorch::repository::{MemoryRepository, Timestamp};
use prorch_testkit::{ManualClock, soak};

use crate::bench::{HOUR, Note, orchestrator, ticks};

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

/// The month that the day is in, of the year or of one beside it.
fn month(day: i64) -> i64 {
    let begun = |year| (1..=12).rev().find(|month| days(year, *month, 1) <= day);
    [YEAR + 1, YEAR, YEAR - 1].into_iter().find_map(begun).unwrap()
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

impl Zone {
    /// For each minute from `first` on that a clock may show, when it does so first, up to `last` in UTC; none for one that it
    /// does not show.
    fn first_shown(&self, first: i64, last: i64) -> Vec<Option<i64>> {
        let mut shown = vec![None; (last - first + DAY) as usize];
        // From a day before, so that what is shown for the first time is.
        for utc in first - DAY..=last {
            if let Ok(at) = usize::try_from(self.wall(utc) - first) {
                shown[at].get_or_insert(utc);
            }
        }
        shown
    }
}

/// A cron expression, and the same as a question to a clock on the wall.
struct Expression {
    cron: &'static str,
    names_hours: bool,
    /// The minute of the day, and the day.
    names: fn(i64, i64) -> bool,
}

/// In the months in which some clock is changed, on the day on which it is.
const EXPRESSIONS: [Expression; 4] = [
    Expression { cron: "30 2 * * *", names_hours: true, names: |minute, _| minute == 2 * H + 30 },
    Expression { cron: "0,15,45 0-2 * 3,4,9-11 sun", names_hours: true, names: in_the_night },
    Expression { cron: "15 * * 3,4,9-11 sun", names_hours: false, names: every_hour },
    Expression {
        cron: "30 0-2 * * *",
        names_hours: true,
        names: |minute, _| minute % H == 30 && minute < 3 * H,
    },
];

/// In each hour of the year: what takes longer.
const MORE: [Expression; 1] =
    [Expression { cron: "45 */1 * * *", names_hours: false, names: |minute, _| minute % H == 45 }];

fn is_of_change(day: i64) -> bool {
    weekday(day) == 0 && [3, 4, 9, 10, 11].contains(&month(day))
}

fn every_hour(minute: i64, day: i64) -> bool {
    minute % H == 15 && is_of_change(day)
}

fn in_the_night(minute: i64, day: i64) -> bool {
    [0, 15, 45].contains(&(minute % H)) && minute < 3 * H && is_of_change(day)
}

impl Expression {
    fn is_named(&self, wall: i64) -> bool {
        (self.names)(wall.rem_euclid(DAY), wall.div_euclid(DAY))
    }

    /// The ticks among these minutes in UTC: by looking at the clock in each.
    fn ticks(&self, zone: &Zone, minutes: RangeInclusive<i64>) -> BTreeSet<i64> {
        if !self.names_hours {
            return minutes.filter(|utc| self.is_named(zone.wall(*utc))).collect();
        }
        let first = minutes.start() - DAY;
        let shown = zone.first_shown(first, *minutes.end());
        let named = (0..).zip(&shown).filter(|(at, _)| self.is_named(first + at));
        // One that is skipped fires when the clock shows a later one for the first time.
        let fires = named
            .filter_map(|(at, utc)| utc.or_else(|| shown[at as usize..].iter().flatten().next().copied()));
        fires.filter(|utc| minutes.contains(utc)).collect()
    }
}

fn shown(minute: i64) -> String {
    let tick = Timestamp::from_micros(minute * 60_000_000).to_string();
    tick.replace(".000Z", "Z")
}

#[tokio::test]
async fn a_year_of_ticks_in_five_zones_with_daylight_saving_is_the_stated_rule() {
    for zone in &zones() {
        a_year_in(zone).await;
    }
}

async fn a_year_in(zone: &Zone) {
    let (from, to) = (days(YEAR, 1, 1) * DAY, days(YEAR + 1, 1, 1) * DAY);
    let clock = ManualClock::at(Timestamp::from_micros(from * 60_000_000));
    let orchestrator = orchestrator(MemoryRepository::new(), &clock);
    let more = if soak::is_long() { &MORE[..] } else { &[] };
    let expressions: Vec<&Expression> = EXPRESSIONS.iter().chain(more).collect();
    for expression in &expressions {
        let schedule = orchestrator.schedule::<Note>(expression.cron, expression.cron, 1);
        schedule.timezone(zone.name).missed(Missed::All(100)).await.unwrap();
    }
    // Every other day is often enough: what was missed by then fires all the same, under the key of its tick.
    for _ in 0..=(to - from) / (2 * DAY) {
        clock.advance(48 * HOUR);
        orchestrator.execute_pipelines().await.unwrap();
    }
    for expression in &expressions {
        let expected: Vec<String> = expression.ticks(zone, from + 1..=to).into_iter().map(shown).collect();
        let found: Vec<String> = ticks(&orchestrator, expression.cron).await;
        let found: Vec<String> = found.into_iter().filter(|tick| *tick <= shown(to)).collect();
        assert_eq!(found, expected, "{} in {}", expression.cron, zone.name);
    }
    let is_changed = |minute: &i64| zone.wall(minute - 1) + 1 != zone.wall(*minute);
    assert_eq!((from..to).filter(is_changed).count(), 2, "{} changes its clocks twice", zone.name);
}
