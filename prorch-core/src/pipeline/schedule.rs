//! The schedule that a pipeline is declared with.

use crate::model::{Metadata, Missed, NewRun, Overlap, ScheduleSpec, Text};
use crate::payload::{Payload, PayloadError};

/// What `#[pipeline(schedule = "…")]` says.
#[derive(Clone, Copy, Debug)]
pub struct Declared {
    /// The cron expression.
    pub cron: &'static str,
    /// The name of the time zone that it is read in.
    pub timezone: &'static str,
    /// What becomes of missed ticks.
    pub missed: Missed,
    /// What becomes of ticks while a run goes on.
    pub overlap: Overlap,
    /// What its runs are started with.
    pub input: fn() -> Result<Text, PayloadError>,
}

impl Declared {
    /// The same as it is stored: the schedule bears its pipeline's name.
    pub(crate) fn spec(&self, pipeline: &str) -> Result<ScheduleSpec, PayloadError> {
        let spec = ScheduleSpec {
            name: pipeline.into(),
            pipeline: pipeline.into(),
            cron: self.cron.into(),
            timezone: self.timezone.into(),
            input: (self.input)()?,
            missed: self.missed,
            overlap: self.overlap,
            priority: NewRun::DEFAULT_PRIORITY,
            metadata: Metadata::new(),
            declared: None,
        };
        Ok(ScheduleSpec { declared: Some(spec.fingerprint()), ..spec })
    }
}

/// The JSON of what a run of a schedule is started with.
///
/// # Errors
///
/// [`PayloadError`] when the value can't be encoded.
pub fn scheduled_input<T: Payload>(value: &T) -> Result<Text, PayloadError> {
    value.encode()
}

/// What the runs of a schedule are started with where it does not say with what.
#[diagnostic::on_unimplemented(
    message = "a run of this schedule is started with a `{Self}`, and there is no default of that",
    label = "which `{Self}` is not said",
    note = "write `schedule_input = …` beside `schedule`, or `#[derive(Default)]` above `{Self}`"
)]
pub trait DefaultInput: Sized {
    /// The value.
    fn default_input() -> Self;
}

#[diagnostic::do_not_recommend]
impl<T: Default> DefaultInput for T {
    fn default_input() -> Self {
        T::default()
    }
}

/// What the runs of a schedule are started with where it does not say with what.
#[must_use]
pub fn default_input<T: DefaultInput>() -> T {
    T::default_input()
}
