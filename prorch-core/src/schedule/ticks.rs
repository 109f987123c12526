//! The ticks of a cron expression in a time zone, daylight saving and all.

use std::iter::successors;
use std::time::Duration;

use jiff::Timestamp as Instant;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

use super::cron::{Expression, second_after};
use crate::model::Timestamp;

/// When a schedule fires.
///
/// An expression that names hours goes by the clock on the wall: each time that it names fires once. One that the clock
/// skips fires at the moment of the skip, all such together once; of one that the clock shows twice the first fires. An
/// expression whose hours begin with `*` goes by the time that passes: it fires whenever the clock shows a time that it
/// names, so not in a skipped hour, and twice in a doubled one.
#[derive(Clone, Debug)]
pub(crate) struct Ticks {
    expression: Expression,
    zone: TimeZone,
}

impl Ticks {
    /// The ticks of this expression, read in the time zone with this name.
    ///
    /// # Errors
    ///
    /// What is wrong with one of them.
    pub(crate) fn new(cron: &str, zone: &str) -> Result<Self, String> {
        let expression =
            Expression::parse(cron).map_err(|error| format!("`{cron}` is no cron expression: {error}"))?;
        let named = TimeZone::get(zone);
        let zone = named.map_err(|_| {
            format!("there is no time zone `{zone}`: write its name as in the tz database, `Europe/Madrid` or `UTC`")
        })?;
        Ok(Self { expression, zone })
    }

    /// The first tick later than `after`; none when there is none any more.
    pub(crate) fn after(&self, after: Timestamp) -> Option<Timestamp> {
        let after = Instant::from_microsecond(after.as_micros()).ok()?;
        let found = if self.expression.is_every_hour() {
            self.by_passing_time(after)
        } else {
            self.by_the_wall(after)
        };
        found.map(|tick| Timestamp::from_micros(tick.as_microsecond()))
    }

    /// The ticks later than `after` and not later than `until`, in order.
    pub(crate) fn within(&self, after: Timestamp, until: Timestamp) -> impl Iterator<Item = Timestamp> {
        let ticks = successors(self.after(after), |tick| self.after(*tick));
        ticks.take_while(move |tick| *tick <= until)
    }

    /// The latest `most` ticks later than `after` and not later than `until`, in order; without going through all of them.
    pub(crate) fn latest(&self, after: Timestamp, until: Timestamp, most: usize) -> Vec<Timestamp> {
        let mut span = Duration::from_secs(60);
        loop {
            let from = until.saturating_sub(span).max(after);
            let mut found: Vec<Timestamp> = self.within(from, until).collect();
            if found.len() >= most || from == after {
                return found.split_off(found.len().saturating_sub(most));
            }
            span = span.saturating_mul(4);
        }
    }

    /// Each time that the expression names, in order; it is moved where the clock skips it. That never changes the order.
    fn by_the_wall(&self, after: Instant) -> Option<Instant> {
        let mut named = self.expression.next(second_after(self.zone.to_datetime(after))?)?;
        loop {
            let at = self.of_wall(named)?;
            if at > after {
                return Some(at);
            }
            named = self.expression.next(second_after(named)?)?;
        }
    }

    /// When the clock first shows this time or, where it skips it, when it does.
    fn of_wall(&self, wall: DateTime) -> Option<Instant> {
        match self.zone.to_ambiguous_timestamp(wall).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(wall).ok(),
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(wall).ok(),
            AmbiguousOffset::Gap { before, after } => {
                // A moment that is surely before the skip, and less than a day so.
                let before = (before.to_timestamp(wall).ok()?).min(after.to_timestamp(wall).ok()?);
                Some(self.zone.following(before).next()?.timestamp())
            }
        }
    }

    /// From one change of the clock to the next, the times that it shows.
    fn by_passing_time(&self, after: Instant) -> Option<Instant> {
        let mut offset = self.zone.to_offset(after);
        let mut from = second_after(offset.to_datetime(after))?;
        let mut changes = self.zone.following(after);
        loop {
            let change = changes.next();
            let named = offset.to_timestamp(self.expression.next(from)?).ok()?;
            match change {
                // The clock is changed before it shows this.
                Some(change) if change.timestamp() <= named => {
                    offset = change.offset();
                    from = offset.to_datetime(change.timestamp());
                }
                _ => return Some(named),
            }
        }
    }
}
