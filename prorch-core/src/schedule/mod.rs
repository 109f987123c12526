//! Schedules: runs that are started by the calendar.
//!
//! A schedule is a run of a pipeline that comes with prorch, and has no storage of its own. Its one step waits for the next
//! tick; one update moves the last tick and starts the run, under a key made of the schedule's name and the tick. Whoever
//! holds the run does that, so there is no leader; and the fence of the update, and the key, make it one run.

mod cron;
mod ticks;
mod due;
mod tick;

pub(crate) use due::check;
pub(crate) use tick::scheduler;
pub(crate) use ticks::Ticks;
