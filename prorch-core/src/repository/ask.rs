use std::future::Future;
use std::time::Duration;

use super::StoreError;

/// How long to wait before the store is asked again, first and at the most: a caller waits for some two seconds in all.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What the store answered.
#[derive(Debug)]
pub(crate) struct Asked<T> {
    pub(crate) answer: T,
    /// What it said when it was asked before and did not know whether it had written. Then the answer may be one to
    /// what it had written already.
    pub(crate) unknown: Option<StoreError>,
}

/// Asks the store, and again a few times as long as what keeps it from answering may pass. So `ask` must be safe to
/// repeat.
///
/// # Errors
///
/// What the store said last; if it ever was that it is unknown whether something was written, then that, since nothing
/// that it said later makes it known.
pub(crate) async fn ask<T, Answer>(mut ask: impl FnMut() -> Answer) -> Result<Asked<T>, StoreError>
where
    Answer: Future<Output = Result<T, StoreError>>,
{
    let (mut pause, mut unknown) = (FIRST_PAUSE, None);
    loop {
        let error = match ask().await {
            Ok(answer) => return Ok(Asked { answer, unknown }),
            Err(error) => error,
        };
        let may_pass = error.is_transient() || error.is_ambiguous();
        let worst = if error.is_ambiguous() { error } else { unknown.unwrap_or(error) };
        if !may_pass || pause > LONGEST_PAUSE {
            return Err(worst);
        }
        unknown = Some(worst).filter(StoreError::is_ambiguous);
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
}
