//! How a run goes from stage to stage, and how a stage with several members comes to its end.

use super::transition::{Draft, Facts};
use super::{
    Cause, CauseKind, Decision, Fan, Kept, Mail, Message, MessageId, Next, Position, Post, RecordWrite, Run,
    RunId, RunState, StagePlan, Status, StepRecord, Text,
};

impl Facts<'_> {
    /// What follows when the record at `position` has finished, which is in the draft.
    pub(super) fn finished(&self, mut draft: Draft, position: Position, output: Option<Text>) -> Decision {
        let Some(fan) = self.run.run.state.fan else {
            return self.leave_stage(draft, position.stage, output);
        };
        let fan = Fan { finished: fan.finished + 1, ..fan };
        let fan = Fan { low: self.low(&draft, fan), ..fan };
        self.state_of(&mut draft).fan = Some(fan);
        if fan.width == Some(fan.finished) {
            return self.leave_stage(draft, position.stage, None);
        }
        self.admit(&mut draft);
        self.rest(draft)
    }

    /// The first member that has not finished, as the draft leaves them.
    fn low(&self, draft: &Draft, fan: Fan) -> u32 {
        let open = self.here(draft).filter(|record| record.status != Status::Finished);
        open.map(|record| record.position.item).min().unwrap_or(fan.entered)
    }

    /// Comes to the members that there is room for, unless one of them has ended badly.
    fn admit(&self, draft: &mut Draft) {
        let Some(fan) = self.state_of(draft).fan else { return };
        let Some(stage) = self.plan.stage(fan.stage) else { return };
        if self.here(draft).any(is_bad) {
            return;
        }
        let open = self.here(draft).filter(|record| record.is_open()).count();
        let room = stage.side_by_side().saturating_sub(u32::try_from(open).unwrap_or(u32::MAX));
        let end = fan.entered.saturating_add(room).min(fan.width.unwrap_or(0));
        for item in fan.entered..end {
            let position = Position { stage: fan.stage, item };
            let record = StepRecord::new(position, self.name(position), self.now);
            draft.records.push(RecordWrite::New(record));
        }
        self.state_of(draft).fan = Some(Fan { entered: end.max(fan.entered), ..fan });
    }

    /// All of `stage` has finished: the run comes to the next one, or to its end.
    fn leave_stage(&self, mut draft: Draft, stage: u32, output: Option<Text>) -> Decision {
        if self.plan.stage(stage + 1).is_some() {
            return self.enter(draft, stage + 1);
        }
        self.state_of(&mut draft).output = output;
        self.ended(draft, Status::Finished)
    }

    /// The run comes to its first stage, unless it has done so.
    pub(super) fn begin(&self) -> Decision {
        let draft = self.begun(&Kept::default());
        let has_begun = self.run.run.state.fan.is_some() || !self.run.records.is_empty();
        if has_begun { self.rest(draft) } else { self.enter(draft, 0) }
    }

    /// The run comes to `stage`.
    pub(super) fn enter(&self, mut draft: Draft, stage: u32) -> Decision {
        let Some(plan) = self.plan.stage(stage) else { return self.rest(draft) };
        let fan = plan.fan(stage);
        if fan != self.run.run.state.fan {
            let state = self.state_of(&mut draft);
            state.fan = fan;
            state.crashes = 0;
        }
        match plan {
            StagePlan::One(step) => {
                let record = StepRecord::new(Position::of_stage(stage), step.name.clone(), self.now);
                draft.records.push(RecordWrite::New(record));
            }
            StagePlan::Group(_) => self.admit(&mut draft),
            StagePlan::Each(..) => {}
        }
        draft.decision(Next::GoOn)
    }

    /// The list of an `each` has so many items.
    pub(super) fn open(&self, width: u32) -> Decision {
        let mut draft = self.begun(&Kept::default());
        let Some(fan) = self.run.run.state.fan.filter(|fan| fan.width.is_none()) else {
            return self.rest(draft);
        };
        self.state_of(&mut draft).fan = Some(Fan { width: Some(width), ..fan });
        if width == 0 {
            return self.leave_stage(draft, fan.stage, None);
        }
        self.admit(&mut draft);
        draft.decision(Next::GoOn)
    }

    /// A record of the draft ended badly, for this cause. The first cause stands, unless it was only a cancel.
    pub(super) fn broken(&self, mut draft: Draft, cause: Cause) -> Decision {
        let state = self.state_of(&mut draft);
        let is_worse = |old: &Cause| old.kind == CauseKind::Cancelled && cause.kind != CauseKind::Cancelled;
        if state.cause.as_ref().is_none_or(is_worse) {
            state.cause = Some(cause);
        }
        self.rest(draft)
    }

    /// What comes next, as the draft leaves the members of the stage.
    pub(super) fn rest(&self, draft: Draft) -> Decision {
        let is_quiet = self.under_way.is_empty();
        if self.here(&draft).any(is_bad) {
            return if is_quiet { self.settle(draft) } else { draft.decision(Next::GoOn) };
        }
        if !is_quiet {
            return draft.decision(Next::GoOn);
        }
        let open = self.here(&draft).filter(|record| record.is_open());
        let wakes = open.filter_map(|record| self.wakes(record, &draft.taken)).min();
        if wakes.is_some_and(|at| at <= self.now) {
            return draft.decision(Next::GoOn);
        }
        let mut draft = draft;
        if self.run.run.state.crashes > 0 {
            // Every member that was due has answered: none of them is suspect any more.
            self.state_of(&mut draft).crashes = 0;
        }
        draft.decision(Next::Wait(wakes))
    }

    /// The run ends with its stage: what has not finished is cancelled.
    fn settle(&self, draft: Draft) -> Decision {
        let failed = self.here(&draft).any(|record| record.status == Status::Failed);
        let reason = Text::from("another step of its stage ended badly");
        self.stop(draft, if failed { Status::Failed } else { Status::Cancelled }, &reason)
    }

    /// Cancels a record that is open, and the run that it started.
    pub(super) fn cut(&self, draft: &mut Draft, mut record: StepRecord, reason: &Text) {
        record.resumable = record.status == Status::Pending;
        record.error = Some(reason.clone());
        self.end(&mut record, Status::Cancelled);
        if let Some(child) = record.child {
            let mail = Mail::Cancel { reason: reason.clone() };
            self.post(draft, child.run, mail);
        }
        let position = record.position;
        draft.records.retain(|write| write.record().position != position);
        draft.records.push(self.write(record));
    }

    /// The run ends; whoever started it hears of it.
    pub(super) fn ended(&self, mut draft: Draft, status: Status) -> Decision {
        let state = self.state_of(&mut draft);
        (state.status, state.paused, state.ended_at) = (status, false, Some(self.now));
        if status == Status::Finished {
            state.cause = None;
        }
        let reason = state.cause.as_ref().map(|cause| cause.text.clone());
        if let Some(parent) = self.run.run.parent {
            let mail = Mail::Ended { position: parent.position, child: self.run.run.id, status, reason };
            self.post(&mut draft, parent.run, mail);
        }
        draft.decision(Next::End)
    }

    pub(super) fn post(&self, draft: &mut Draft, to: RunId, mail: Mail) {
        let epoch = self.run.run.epoch;
        let id = MessageId::between(self.run.run.id, to, epoch);
        draft.posts.push(Post { to, message: Message::new(id, mail, self.now) });
    }

    pub(super) fn cause(&self, record: &StepRecord, kind: CauseKind, text: Text) -> Cause {
        Cause { step: Some(self.name_of(record)), kind, text }
    }

    /// The records of the stage that the run is at, as the draft leaves them.
    pub(super) fn here<'d>(&'d self, draft: &'d Draft) -> impl Iterator<Item = &'d StepRecord> {
        let stage = self.run.stage();
        let written = draft.records.iter().map(RecordWrite::record);
        let written = written.filter(move |record| record.position.stage == stage);
        let is_written = |position| draft.records.iter().any(|write| write.record().position == position);
        let stored = self.run.current().filter(move |record| !is_written(record.position));
        written.chain(stored)
    }

    /// What a committed outcome leaves on the run: it is begun, and what the call kept is pinned to it. The row is left
    /// alone when that changes nothing.
    pub(super) fn begun(&self, kept: &Kept) -> Draft {
        let mut draft = Draft { taken: kept.taken.clone(), ..Draft::default() };
        let old = &self.run.run.state;
        // Of several members each may be the one that cuts off its worker: one answer acquits only a step alone. Of a
        // suspect run one member is called at a time, what was not called for longest first, so that a culprit comes to
        // the front: a claim with an answer in it was not cut off by the member at its front, and does not count.
        let most = if old.fan.is_none() { 0 } else { Run::SUSPECT_AFTER };
        if old.status != Status::Pending || old.crashes > most || !kept.run_metadata.is_empty() {
            let state = self.state_of(&mut draft);
            state.status = Status::Pending;
            state.crashes = state.crashes.min(most);
            state.metadata.extend(kept.run_metadata.clone());
        }
        draft
    }

    /// The run's columns, which the draft changes.
    pub(super) fn state_of<'d>(&self, draft: &'d mut Draft) -> &'d mut RunState {
        draft.state.get_or_insert_with(|| RunState { status: Status::Pending, ..self.run.run.state.clone() })
    }
}

fn is_bad(record: &StepRecord) -> bool {
    matches!(record.status, Status::Failed | Status::Cancelled)
}
