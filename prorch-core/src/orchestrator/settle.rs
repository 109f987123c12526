use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::Orchestrator;
use super::start::encode;
use crate::error::Error;
use crate::model::{
    Event, EventKind, MAX_REASON, NoVerdict, Plan, Position, Refusal, RunId, Status, StepRecord, StoredRun,
    Text, Verdict, bounded,
};
use crate::registry::Judgement;
use crate::step::Step;

/// Says what became of the step `S` of a run that failed in doubt: see [`Orchestrator::settle`]. Nothing is said before one
/// of [`finished`](Self::finished), [`failed`](Self::failed) and [`start_again`](Self::start_again) is awaited.
///
/// Each of these answers with these errors, and then nothing is changed: [`Error::NotFound`]; [`Error::Refused`] when the
/// run has not failed, or what its steps had done is or was undone; [`Error::NotSettled`] when no such step of it is in
/// doubt, several are, or the code that is here can't go on with the run; [`Error::TooLarge`], [`Error::Payload`] and
/// [`Error::Store`]. After a store's error that is [ambiguous](Error::is_ambiguous) it is not known whether it was said.
#[must_use = "nothing is said before one of its functions is awaited"]
pub struct Settle<S: Step> {
    orchestrator: Orchestrator,
    run: RunId,
    name: Option<Text>,
    item: Option<u32>,
    step: PhantomData<fn() -> S>,
}

impl<S: Step> Settle<S> {
    pub(super) const fn new(orchestrator: Orchestrator, run: RunId) -> Self {
        Self { orchestrator, run, name: None, item: None, step: PhantomData }
    }

    /// Of a step that stands in the pipeline more than once, the one whose records have this name: `Pay#2` for the second.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(Text::from(name.into()));
        self
    }

    /// Of a step that is called for each item of a list, the one of this item, from 0.
    pub const fn item(mut self, item: u32) -> Self {
        self.item = Some(item);
        self
    }

    /// The step did its work, and hands this on: the run goes on behind it.
    ///
    /// # Errors
    ///
    /// Those of the [type](Self).
    pub async fn finished(self, output: S::Output) -> Result<(), Error> {
        let output = encode(&output, "output", self.orchestrator.shared.config.max_payload);
        self.say(Verdict::Finished(output?)).await
    }

    /// The step can't be done, for this reason: the run stays failed, and is not in doubt any more. A retry begins the step
    /// anew.
    ///
    /// # Errors
    ///
    /// Those of the [type](Self).
    pub async fn failed(self, reason: &str) -> Result<(), Error> {
        self.say(Verdict::Failed(bounded(reason, MAX_REASON))).await
    }

    /// The step did nothing: the run goes on with its first call, which has the same idempotency key.
    ///
    /// # Errors
    ///
    /// Those of the [type](Self).
    pub async fn start_again(self) -> Result<(), Error> {
        self.say(Verdict::StartAgain).await
    }

    async fn say(self, verdict: Verdict) -> Result<(), Error> {
        let (id, orchestrator) = (self.run, &self.orchestrator);
        let stored = orchestrator.read(id).await?;
        let (status, sealed) = (stored.run.status(), stored.run.sealed);
        let undo = stored.run.state.undo_phase();
        if status != Status::Failed || undo.is_some() || sealed {
            let refusal = Refusal { status, event: EventKind::Verdict, undo, sealed };
            return Err(Error::Refused { run: id, refusal });
        }
        let plan = orchestrator.fitting_plan(&stored)?;
        let position = self.find(&stored, &plan).map_err(|why| Error::NotSettled { run: id, why })?;
        orchestrator.tell(id, &Event::Verdict(position, verdict), None).await.map(drop)
    }

    /// Where the record stands that is meant.
    fn find(&self, stored: &StoredRun, plan: &Plan) -> Result<Position, NoVerdict> {
        let in_doubt = || stored.current().filter(|record| !record.is_open() && record.is_in_doubt());
        let names = |records: Vec<&StepRecord>| {
            records.into_iter().map(|record| plan.name_of(record)).collect::<Vec<Text>>()
        };
        let meant: Vec<&StepRecord> = in_doubt().filter(|record| self.means(record, plan)).collect();
        match meant[..] {
            [record] => Ok(record.position),
            [] => {
                let step = self.name.clone().unwrap_or_else(|| Text::from(S::NAME));
                Err(NoVerdict::NotInDoubt { step, others: names(in_doubt().collect()) })
            }
            _ => Err(NoVerdict::Several(names(meant))),
        }
    }

    fn means(&self, record: &StepRecord, plan: &Plan) -> bool {
        let renamed = plan.step(record.position).and_then(|step| step.renamed.as_ref());
        let names = [Some(&record.name), renamed];
        let is_called = |name: &Text| match &self.name {
            Some(wanted) => name == wanted,
            None => name.split_once('#').map_or(&**name, |(step, _)| step) == S::NAME,
        };
        names.into_iter().flatten().any(is_called)
            && self.item.is_none_or(|item| item == record.position.item)
    }
}

impl Orchestrator {
    /// The plan by which the code that is here can go on with the run.
    pub(super) fn fitting_plan(&self, stored: &StoredRun) -> Result<Arc<Plan>, Error> {
        let (catalog, definition) = (&self.shared.catalog, &stored.run.definition);
        if let Some(known) = catalog.find(definition) {
            return Ok(known.plan.clone());
        }
        let why = match catalog.judge(definition) {
            Judgement::Fits(found) => match found.known.differs(stored.stage()) {
                None => return Ok(found.known.plan.clone()),
                Some(why) => NoVerdict::Differs(why),
            },
            Judgement::Differs(why) => NoVerdict::Differs(why),
            Judgement::Foreign => NoVerdict::Unknown(definition.pipeline.clone()),
        };
        Err(Error::NotSettled { run: stored.run.id, why })
    }
}

impl<S: Step> fmt::Debug for Settle<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settle")
            .field("run", &self.run)
            .field("step", &S::NAME)
            .field("name", &self.name)
            .field("item", &self.item)
            .finish_non_exhaustive()
    }
}
