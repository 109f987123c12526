//! Which ticks fire, and whether a schedule says anything that makes sense.

use super::ticks::Ticks;
use crate::model::{Missed, NewRun, ScheduleSpec, ScheduleState, Timestamp};

/// What is due of a schedule.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Due {
    /// The ticks that fire, in order.
    pub(super) fires: Vec<Timestamp>,
    /// The latest tick that has come; none when none has come.
    pub(super) last: Option<Timestamp>,
}

/// What is due `now` of ticks of which none fires that is not later than `last`.
pub(super) fn due(ticks: &Ticks, missed: Missed, last: Timestamp, now: Timestamp) -> Due {
    let in_time = now.saturating_sub(Missed::GRACE).max(last);
    let mut fires: Vec<Timestamp> = ticks.within(in_time, now).collect();
    let most = match missed {
        Missed::All(limit) => limit.min(Missed::MOST) as usize,
        Missed::Skip | Missed::Latest => 1,
    };
    let late = ticks.latest(last, in_time, most);
    let newest = fires.last().or(late.last()).copied();
    match missed {
        Missed::All(_) => drop(fires.splice(..0, late)),
        Missed::Latest if fires.is_empty() => fires = late,
        Missed::Latest | Missed::Skip => {}
    }
    Due { fires, last: newest }
}

/// Whether a schedule makes sense.
///
/// # Errors
///
/// What does not, and what to write.
pub(crate) fn check(spec: &ScheduleSpec) -> Result<(), String> {
    let most = ScheduleState::MAX_NAME;
    if spec.name.is_empty() || spec.name.len() > most || spec.name.contains('\0') {
        return Err(format!("its name has 1 to {most} bytes and no NUL"));
    }
    let ticks = Ticks::new(&spec.cron, &spec.timezone)?;
    if ticks.after(Timestamp::from_micros(0)).is_none() {
        return Err(format!("`{}` never fires: no month has such a day", spec.cron));
    }
    if spec.priority > NewRun::LEAST_URGENT {
        return Err(format!("its priority is from 0 to {}, and not {}", NewRun::LEAST_URGENT, spec.priority));
    }
    match spec.missed {
        Missed::All(limit) if !(1..=Missed::MOST).contains(&limit) => Err(format!(
            "of missed ticks 1 to {} fire, and not {limit}: write `Missed::All(10)`, or `Missed::Skip`",
            Missed::MOST
        )),
        Missed::All(_) if spec.overlap == crate::model::Overlap::Skip => Err(
            "with `Missed::All` several of its runs go on side by side, and it allows no overlap: write `Missed::Latest`"
                .into(),
        ),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000_000;
    const HOUR: i64 = 60 * MINUTE;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    fn hourly(missed: Missed, last: i64, now: i64) -> (Vec<i64>, Option<i64>) {
        let ticks = Ticks::new("0 * * * *", "UTC").unwrap();
        let Due { fires, last } = due(&ticks, missed, at(last), at(now));
        let hours = |tick: Timestamp| tick.as_micros() / HOUR;
        (fires.into_iter().map(hours).collect(), last.map(hours))
    }

    #[test]
    fn a_tick_in_time_fires_whatever_is_said_of_missed_ones() {
        for missed in [Missed::Skip, Missed::Latest, Missed::All(3)] {
            assert_eq!(hourly(missed, HOUR, 2 * HOUR), (vec![2], Some(2)));
            assert_eq!(hourly(missed, HOUR, 2 * HOUR + MINUTE - 1), (vec![2], Some(2)));
            assert_eq!(hourly(missed, HOUR, 2 * HOUR - 1), (vec![], None));
            assert_eq!(hourly(missed, 2 * HOUR, 2 * HOUR + MINUTE), (vec![], None), "it has fired");
            assert_eq!(hourly(missed, 2 * HOUR, HOUR), (vec![], None), "the clock was set back");
        }
    }

    #[test]
    fn missed_ticks_are_skipped_or_the_latest_or_so_many_fire() {
        let late = 9 * HOUR + 2 * MINUTE;
        assert_eq!(hourly(Missed::Skip, HOUR, late), (vec![], Some(9)));
        assert_eq!(hourly(Missed::Latest, HOUR, late), (vec![9], Some(9)));
        assert_eq!(hourly(Missed::All(3), HOUR, late), (vec![7, 8, 9], Some(9)));
        assert_eq!(hourly(Missed::All(50), HOUR, late), ((2..=9).collect(), Some(9)));
        let in_time = 10 * HOUR + 1;
        assert_eq!(hourly(Missed::Skip, HOUR, in_time), (vec![10], Some(10)));
        assert_eq!(hourly(Missed::Latest, HOUR, in_time), (vec![10], Some(10)));
        assert_eq!(hourly(Missed::All(2), HOUR, in_time), (vec![8, 9, 10], Some(10)));
    }

    #[test]
    fn years_of_missed_seconds_are_not_gone_through() {
        let ticks = Ticks::new("* * * * * *", "UTC").unwrap();
        let now = at(30 * 365 * 24 * HOUR + 1);
        let Due { fires, .. } = due(&ticks, Missed::All(2), at(0), now);
        assert_eq!(fires.len(), 2 + 60);
        assert!(fires.is_sorted());
    }
}
