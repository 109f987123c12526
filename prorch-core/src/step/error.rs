use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

/// What went wrong in a step.
///
/// Everything that `?` can turn into a boxed error becomes one: errors of std and of libraries, `anyhow::Error`, text.
/// It is itself no [`std::error::Error`] (else that conversion could not be), but shows its causes.
///
/// ```
/// # use prorch_core::step::{StepError, StepResult, finish};
/// fn read() -> StepResult<String> {
///     finish(std::fs::read_to_string("/no/such/file")?) // retried by the step's policy
/// }
/// assert!(!read().unwrap_err().is_fatal());
/// assert!(StepError::fatal("the account is closed").is_fatal());
/// ```
pub struct StepError {
    source: Box<dyn StdError + Send + Sync>,
    fatal: bool,
    retry_after: Option<Duration>,
}

impl StepError {
    /// An error that is not retried: the run fails with it.
    pub fn fatal(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { fatal: true, ..Self::from(error) }
    }

    /// An error that is retried after this time, whatever the step's policy says about delays.
    pub fn retry_after(error: impl Into<Box<dyn StdError + Send + Sync>>, after: Duration) -> Self {
        Self { retry_after: Some(after), ..Self::from(error) }
    }

    /// Whether the run fails with it at once.
    #[must_use]
    pub const fn is_fatal(&self) -> bool {
        self.fatal
    }

    /// The error itself.
    #[must_use]
    pub fn source(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.source
    }

    /// The error itself, if it is of this type.
    #[must_use]
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        self.source.downcast_ref()
    }

    pub(crate) const fn delay(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl<E: Into<Box<dyn StdError + Send + Sync>>> From<E> for StepError {
    fn from(error: E) -> Self {
        Self { source: error.into(), fatal: false, retry_after: None }
    }
}

impl fmt::Display for StepError {
    /// The error and what caused it, joined by colons.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.source)?;
        let mut shown = self.source.to_string();
        let mut cause = self.source.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Many libraries repeat their cause's text in their own.
            if !shown.contains(&text) {
                write!(f, ": {text}")?;
            }
            shown = text;
            cause = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepError")
            .field("source", &self.source)
            .field("fatal", &self.fatal)
            .field("retry_after", &self.retry_after)
            .finish()
    }
}
