//! A cron expression: which times of the calendar it names.

use std::fmt;

use jiff::civil::{Date, DateTime, Time};
use jiff::{Span, ToSpan};

/// After so many years without a time that it names, an expression is one that never does: the 29th of February of a
/// century that has none is waited for at the longest, eight years.
const YEARS: i32 = 9;

/// The times of day and the days that a cron expression names, as they are read off a calendar and a clock on the wall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expression {
    seconds: u64,
    minutes: u64,
    hours: u64,
    /// Bit 1 is the first.
    days: u64,
    last_day: bool,
    months: u64,
    /// Bit 0 is Sunday.
    weekdays: u64,
    /// Whether days and weekdays are both named: then either will do.
    either_day: bool,
    /// Whether the hours begin with a `*`.
    every_hour: bool,
}

/// Why a text is no cron expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadExpression(String);

impl fmt::Display for BadExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A field of an expression.
struct Field {
    name: &'static str,
    first: u64,
    last: u64,
    words: &'static [&'static str],
}

const SECONDS: Field = Field { name: "second", first: 0, last: 59, words: &[] };
const MINUTES: Field = Field { name: "minute", first: 0, last: 59, words: &[] };
const HOURS: Field = Field { name: "hour", first: 0, last: 23, words: &[] };
const DAYS: Field = Field { name: "day of the month", first: 1, last: 31, words: &[] };
const MONTHS: Field = Field {
    name: "month",
    first: 1,
    last: 12,
    words: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
/// 7 is Sunday too.
const WEEKDAYS: Field = Field {
    name: "day of the week",
    first: 0,
    last: 7,
    words: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
};

impl Expression {
    /// Reads an expression of five fields (minute, hour, day of the month, month, day of the week) or of six, with the
    /// second before them.
    pub(crate) fn parse(text: &str) -> Result<Self, BadExpression> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let (second, [minute, hour, day, month, weekday]) = match *fields.as_slice() {
            [minute, hour, day, month, weekday] => ("0", [minute, hour, day, month, weekday]),
            [second, minute, hour, day, month, weekday] => (second, [minute, hour, day, month, weekday]),
            _ => {
                let text = format!(
                    "it has {} fields; five are: minute, hour, day of the month, month, day of the week, as in \
                     `0 3 * * *`, and a sixth, the second, may stand before them",
                    fields.len()
                );
                return Err(BadExpression(text));
            }
        };
        let is_last = |item: &&str| item.eq_ignore_ascii_case("l");
        let numbered: Vec<&str> = day.split(',').filter(|item| !is_last(item)).collect();
        let last_day = day.split(',').any(|item| is_last(&item));
        let days = if numbered.is_empty() { 0 } else { DAYS.read(&numbered.join(","))? };
        let weekdays = WEEKDAYS.read(weekday)?;
        Ok(Self {
            seconds: SECONDS.read(second)?,
            minutes: MINUTES.read(minute)?,
            hours: HOURS.read(hour)?,
            days,
            last_day,
            months: MONTHS.read(month)?,
            weekdays: (weekdays | weekdays >> 7) & 0x7f,
            either_day: !day.starts_with('*') && !weekday.starts_with('*'),
            every_hour: hour.starts_with('*'),
        })
    }

    /// Whether the hours begin with a `*`: then it goes by the time that passes, and else by the clock on the wall.
    pub(crate) const fn is_every_hour(&self) -> bool {
        self.every_hour
    }

    /// The first time from `from` on that it names; none when there is none in years.
    pub(crate) fn next(&self, from: DateTime) -> Option<DateTime> {
        let from = if from.subsec_nanosecond() == 0 { from } else { second_after(from)? };
        let (mut date, mut time) = (from.date(), from.time());
        let end = from.date().checked_add(Span::new().years(YEARS)).unwrap_or(Date::MAX);
        while date <= end {
            if !has(self.months, date.month()) {
                date = date.last_of_month().tomorrow().ok()?;
                time = Time::midnight();
                continue;
            }
            if self.is_day(date)
                && let Some(time) = self.next_time(time)
            {
                return Some(date.to_datetime(time));
            }
            (date, time) = (date.tomorrow().ok()?, Time::midnight());
        }
        None
    }

    fn is_day(&self, date: Date) -> bool {
        let is_last = self.last_day && date.day() == date.days_in_month();
        let by_day = is_last || has(self.days, date.day());
        let by_weekday = has(self.weekdays, date.weekday().to_sunday_zero_offset());
        if self.either_day { by_day || by_weekday } else { by_day && by_weekday }
    }

    /// The first time of day from `from` on.
    fn next_time(&self, from: Time) -> Option<Time> {
        let (mut hour, mut minute, mut second) = (from.hour(), from.minute(), from.second());
        loop {
            let found = first_from(self.hours, hour)?;
            if found > hour {
                (minute, second) = (0, 0);
            }
            hour = found;
            while let Some(found) = first_from(self.minutes, minute) {
                if found > minute {
                    second = 0;
                }
                minute = found;
                if let Some(second) = first_from(self.seconds, second) {
                    return Time::new(hour, minute, second, 0).ok();
                }
                (minute, second) = (minute + 1, 0);
            }
            (hour, minute, second) = (hour + 1, 0, 0);
        }
    }
}

/// The next whole second.
pub(super) fn second_after(at: DateTime) -> Option<DateTime> {
    at.with().subsec_nanosecond(0).build().ok()?.checked_add(1.second()).ok()
}

fn has(set: u64, number: i8) -> bool {
    u32::try_from(number).is_ok_and(|number| set.checked_shr(number).unwrap_or(0) & 1 == 1)
}

/// The first number from `from` on that is in the set.
fn first_from(set: u64, from: i8) -> Option<i8> {
    let rest = set.checked_shr(u32::try_from(from).ok()?)?;
    let ahead = i8::try_from(rest.trailing_zeros()).ok()?;
    (rest != 0).then(|| from + ahead)
}

impl Field {
    /// The set of numbers that a field names: a list of `*`, numbers and ranges, each with or without a step.
    fn read(&self, text: &str) -> Result<u64, BadExpression> {
        text.split(',').try_fold(0, |set, item| Ok(set | self.item(item)?))
    }

    fn item(&self, item: &str) -> Result<u64, BadExpression> {
        let (range, step) = match item.split_once('/') {
            None => (item, None),
            Some((range, step)) => (range, Some(self.step(item, step)?)),
        };
        let (from, to) = if range == "*" {
            (self.first, self.last)
        } else if let Some((from, to)) = range.split_once('-') {
            (self.number(item, from)?, self.number(item, to)?)
        } else {
            let from = self.number(item, range)?;
            // `5/10` begins at 5 and goes on to the end.
            (from, if step.is_some() { self.last } else { from })
        };
        // A range to Sunday, as in `fri-sun`, ends with the week.
        let to = if self.last == 7 && to == 0 && from > 0 { 7 } else { to };
        if from > to {
            return Err(self.bad(item, "the range ends before it begins"));
        }
        let step = step.unwrap_or(1);
        Ok((from..=to).step_by(step).fold(0, |set, number| set | 1 << number))
    }

    fn step(&self, item: &str, step: &str) -> Result<usize, BadExpression> {
        let step = step.parse().ok().filter(|step| (1..=59).contains(step));
        step.ok_or_else(|| self.bad(item, "a step is a number from 1 to 59"))
    }

    fn number(&self, item: &str, text: &str) -> Result<u64, BadExpression> {
        let word = self.words.iter().position(|word| text.eq_ignore_ascii_case(word));
        let offset = if self.last == 12 { 1 } else { 0 };
        let word = word.map(|at| at as u64 + offset);
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = word.or_else(|| text.parse().ok().filter(|_| is_number));
        number
            .filter(|number| (self.first..=self.last).contains(number))
            .ok_or_else(|| self.bad(item, &format!("it is from {} to {}", self.first, self.last)))
    }

    fn bad(&self, item: &str, why: &str) -> BadExpression {
        BadExpression(format!("`{item}` is no {}: {why}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn next(text: &str, from: DateTime) -> Option<DateTime> {
        Expression::parse(text).unwrap().next(from)
    }

    #[test]
    fn the_next_time_is_the_first_that_all_fields_name() {
        let from = date(2026, 1, 31).at(23, 59, 30, 0);
        for (text, expected) in [
            ("* * * * *", date(2026, 2, 1).at(0, 0, 0, 0)),
            ("30 59 23 * * *", date(2026, 1, 31).at(23, 59, 30, 0)),
            ("0 3 * * *", date(2026, 2, 1).at(3, 0, 0, 0)),
            ("*/20 9-17 * * mon-fri", date(2026, 2, 2).at(9, 0, 0, 0)),
            ("5/20 9 * * *", date(2026, 2, 1).at(9, 5, 0, 0)),
            ("0 0 29 feb *", date(2028, 2, 29).at(0, 0, 0, 0)),
            ("0 0 L * *", date(2026, 2, 28).at(0, 0, 0, 0)),
            ("0 0 15,L feb *", date(2026, 2, 15).at(0, 0, 0, 0)),
            ("0 0 * * 7", date(2026, 2, 1).at(0, 0, 0, 0)),
            ("0 0 * * fri-sun", date(2026, 2, 1).at(0, 0, 0, 0)),
            ("0 0 13 * fri", date(2026, 2, 6).at(0, 0, 0, 0)),
            ("0 0 */2 * mon", date(2026, 2, 9).at(0, 0, 0, 0)),
            ("0 0 1 1,JUL *", date(2026, 7, 1).at(0, 0, 0, 0)),
        ] {
            assert_eq!(next(text, from), Some(expected), "{text}");
        }
        let fraction = from.checked_add(1.millisecond()).unwrap();
        assert_eq!(next("30 59 23 * * *", fraction), Some(date(2026, 2, 1).at(23, 59, 30, 0)));
    }

    #[test]
    fn a_leap_day_is_waited_for_over_a_century_without_one_and_no_day_is_not_waited_for() {
        assert_eq!(
            next("0 0 29 2 *", date(2096, 3, 1).at(0, 0, 0, 0)),
            Some(date(2104, 2, 29).at(0, 0, 0, 0))
        );
        assert_eq!(next("0 0 30 2 *", date(2026, 1, 1).at(0, 0, 0, 0)), None);
        assert_eq!(next("0 0 31 4,6,9,11 *", date(2026, 1, 1).at(0, 0, 0, 0)), None);
        assert_eq!(next("0 0 1 1 *", date(9999, 12, 31).at(0, 0, 0, 0)), None);
    }

    #[test]
    fn what_is_no_expression_is_told_by_its_field() {
        for (text, part) in [
            ("", "0 fields"),
            ("* * * *", "4 fields"),
            ("* * * * * * *", "7 fields"),
            ("60 * * * *", "`60` is no minute"),
            ("* 24 * * *", "`24` is no hour"),
            ("* * 0 * *", "`0` is no day of the month"),
            ("* * * 13 *", "`13` is no month"),
            ("* * * * 8", "`8` is no day of the week"),
            ("5-1 * * * *", "ends before it begins"),
            ("*/0 * * * *", "a step"),
            ("+5 * * * *", "`+5` is no minute"),
            ("1,,2 * * * *", "`` is no minute"),
            ("* * * foo *", "`foo` is no month"),
            ("60 0 0 * * *", "`60` is no second"),
        ] {
            let said = Expression::parse(text).unwrap_err().to_string();
            assert!(said.contains(part), "{text}: {said}");
        }
    }
}
