//! Somebody tells runs things, and hears what became of it.

use prorch_core::error::Error;
use prorch_core::model::Status;
use prorch_core::orchestrator::Told as Answer;
use prorch_core::repository::Repository;

use super::action::Mend;
use super::journal::is_by_cap;
use super::oracle::Heard;
use super::script::Name;
use super::world::World;

impl<R: Repository> World<R> {
    pub(super) async fn signal(&mut self, run: usize, name: Name) {
        let Some(run) = self.nth(run) else { return };
        self.signals += 1;
        let (id, told) = &mut self.runs[run];
        let sent = self.teller.orchestrator.signal(*id, name.as_str(), self.signals).await;
        match sent {
            Ok(()) => told.signals.entry(name).or_default().push(self.signals),
            Err(_) => told.unheard.push(self.signals),
        }
        self.check_refusal(run, sent.err(), Status::is_terminal);
    }

    pub(super) async fn cancel(&mut self, run: usize) {
        let Some(run) = self.nth(run) else { return };
        let (id, told) = &mut self.runs[run];
        let said = self.teller.orchestrator.cancel(*id, "not wanted").await;
        told.cancel = heard(&said, told.cancel);
        if let (Ok(Answer::Done), Heard::Perhaps) = (&said, told.pause) {
            told.pause = Heard::No;
        }
        self.check_refusal(run, said.err(), Status::is_terminal);
    }

    pub(super) async fn pause(&mut self, run: usize) {
        let Some(run) = self.nth(run) else { return };
        let (id, told) = &mut self.runs[run];
        let said = self.teller.orchestrator.pause(*id).await;
        told.pause = heard(&said, told.pause);
        self.check_refusal(run, said.err(), Status::is_terminal);
    }

    pub(super) async fn resume(&mut self, run: usize) {
        let Some(run) = self.nth(run) else { return };
        let (id, told) = &mut self.runs[run];
        let said = self.teller.orchestrator.resume(*id).await;
        if said.is_ok() {
            told.pause = Heard::No;
        }
        self.check_refusal(run, said.err(), Status::is_terminal);
    }

    pub(super) async fn retry(&mut self, run: usize, mend: Mend) {
        let Some(run) = self.nth(run) else { return };
        let (id, told) = &mut self.runs[run];
        let state = self.store.whole(*id).run.state;
        if state.status == Status::Failed {
            self.scene.journal(|journal| {
                journal.lives.get_mut(id).into_iter().for_each(|life| life.may_reopen = true);
            });
            if mend == Mend::Yes {
                self.scene.mend(*id);
            }
        }
        let said = self.teller.orchestrator.retry(*id).await;
        // An answer that was lost may have been that it was done.
        let was_done = self.scene.journal(|journal| !journal.lives[id].may_reopen);
        if state.status == Status::Failed && was_done {
            // What it was told before is dropped, or came too late.
            (told.cancel, told.pause) =
                (Heard::No, if told.pause == Heard::No { Heard::No } else { Heard::Perhaps });
            if state.cause.is_some_and(|cause| is_by_cap(cause.kind)) {
                told.mended |= mend == Mend::Yes;
            } else {
                told.retries.push(mend);
            }
        }
        self.check_refusal(run, said.err(), |status| status != Status::Failed);
    }

    /// What a run is told is refused only by one that stands like that.
    fn check_refusal(&self, run: usize, error: Option<Error>, may_refuse: impl Fn(Status) -> bool) {
        let Some(error) = error else { return };
        let id = self.runs[run].0;
        let status = self.store.whole(id).run.status();
        let is_right = matches!(&error, Error::Refused { .. }) && may_refuse(status);
        // What the teller was told is unknown may have done what it asked for.
        let is_unknown = matches!(&error, Error::Store(error) if error.is_ambiguous());
        if !is_right && !is_unknown {
            self.scene.wrong(format!("P9: run {id}, which is {status}, refuses what it is told: {error}"));
        }
    }
}

/// What is known of what a run was told, by what was answered.
fn heard(said: &Result<Answer, Error>, before: Heard) -> Heard {
    match said {
        Ok(Answer::Done) => Heard::Yes,
        Err(Error::Refused { .. }) => before,
        _ => Heard::Perhaps,
    }
}
