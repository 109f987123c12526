//! What a run handed on, put together from its records: what has several members is never stored as a whole.

use super::{AnyRepository, BoxFuture, Part, Position, RunId, StoreError, StoredRun, Text};
use crate::model::{Status, StepRecord};

/// The most that several members hand on together, in bytes of JSON.
pub const MAX_HANDED: usize = 64 << 20;

/// How many records are read at a time.
const PAGE: usize = 256;

/// Why it is not known what was handed on.
#[derive(Debug)]
pub(crate) enum HandedError {
    /// The store can't be read.
    Store(StoreError),
    /// More than [`MAX_HANDED`].
    TooLong,
    /// Something is not there that should be.
    Missing(Text),
}

impl From<StoreError> for HandedError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What the members of this stage of a run handed on: the output of a stage of one step, or the list of the outputs.
pub(crate) async fn handed_on_by_stage(
    repository: &AnyRepository,
    run: RunId,
    stage: u32,
    is_list: bool,
) -> Result<Text, HandedError> {
    let mut list = String::from("[");
    let mut from = Position::of_stage(stage);
    loop {
        let part = Part::Records { from, limit: PAGE };
        let stored = repository.get(run, part).await?.ok_or_else(|| gone(run))?;
        let records: Vec<StepRecord> = stored.records.into_values().collect();
        let count = records.len();
        for record in records.into_iter().take_while(|record| record.position.stage == stage) {
            from = Position { item: record.position.item + 1, ..record.position };
            let output = handed_on_by_record(repository, run, record).await?;
            if !is_list {
                return Ok(output);
            }
            if list.len() > 1 {
                list.push(',');
            }
            list.push_str(&output);
            if list.len() > MAX_HANDED {
                return Err(HandedError::TooLong);
            }
        }
        if count < PAGE {
            break;
        }
    }
    if !is_list {
        return Err(HandedError::Missing(Text::from(format!(
            "run {run} has no record of its stage {stage}"
        ))));
    }
    list.push(']');
    Ok(Text::from(list))
}

/// What a finished run ended with.
pub(crate) fn handed_on_by_run<'r>(
    repository: &'r AnyRepository,
    stored: &'r StoredRun,
) -> BoxFuture<'r, Result<Text, HandedError>> {
    Box::pin(async move {
        let run = &stored.run;
        if let Some(output) = &run.state.output {
            return Ok(output.clone());
        }
        match run.state.fan {
            Some(fan) => handed_on_by_stage(repository, run.id, fan.stage, true).await,
            None => {
                let stored = repository.get(run.id, Part::Work).await?.ok_or_else(|| gone(run.id))?;
                handed_on_by_stage(repository, run.id, stored.stage(), false).await
            }
        }
    })
}

async fn handed_on_by_record(
    repository: &AnyRepository,
    run: RunId,
    record: StepRecord,
) -> Result<Text, HandedError> {
    let missing = || {
        HandedError::Missing(Text::from(format!(
            "step `{}` at {} of run {run} is {} and has no output",
            record.name, record.position, record.status
        )))
    };
    if let Some(output) = record.output {
        return Ok(output);
    }
    let child = record.child.filter(|_| record.status == Status::Finished).ok_or_else(missing)?;
    let stored = repository.get(child.run, Part::Row).await?.ok_or_else(|| gone(child.run))?;
    handed_on_by_run(repository, &stored).await
}

fn gone(run: RunId) -> HandedError {
    HandedError::Missing(Text::from(format!("run {run} is not stored any more")))
}
