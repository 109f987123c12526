//! The pipeline: its two steps, and what flows between them.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use prorch::prelude::*;
use serde::{Deserialize, Serialize};

use crate::say;

/// Gets an expense decided, and does what was decided.
#[pipeline(input = Expense, output = Verdict, steps = [Approval, carry_out])]
pub(crate) struct ExpenseApproval;

/// What somebody hands in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Expense {
    /// What it was for.
    pub(crate) what: String,
    /// How much it was.
    pub(crate) cents: u64,
    /// Who may decide, one after the other.
    pub(crate) deciders: Vec<String>,
    /// How many milliseconds each of them has.
    pub(crate) limit: u64,
    /// The directory in which verdicts are put.
    pub(crate) verdicts: PathBuf,
}

impl Expense {
    /// Whom this signal is from.
    pub(crate) fn decider_by_signal(&self, signal: &str) -> Option<&String> {
        self.deciders.iter().find(|name| signal_of(name) == signal)
    }
}

/// The name of the signal by which this person decides. Any text will do.
pub(crate) fn signal_of(decider: &str) -> String {
    format!("decision by {decider}")
}

/// What a decision says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Decision {
    /// It is paid.
    Approve,
    /// It is not paid.
    Reject {
        /// Why.
        reason: String,
    },
}

/// What became of an expense.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Verdict {
    /// Who decided; nobody when all have let their time pass.
    by: Option<String>,
    /// What they said.
    decision: Decision,
}

impl Verdict {
    /// In words.
    pub(crate) fn text(&self) -> String {
        let by = self.by.as_ref().map(|name| format!(" by {name}")).unwrap_or_default();
        match &self.decision {
            Decision::Approve => format!("approved{by}"),
            Decision::Reject { reason } => format!("refused{by}: {reason}"),
        }
    }
}

/// Asks one person after the other. The state is whose turn it is.
#[step]
pub(crate) struct Approval {
    turn: usize,
}

impl Step for Approval {
    type Input = Expense;
    type Output = Verdict;

    async fn on_start(&mut self, expense: &Expense, cx: &StepContext) -> StepResult<Verdict> {
        self.ask(expense, cx)
    }

    /// Called when the decision is there, or the time is up.
    async fn on_continue(&mut self, expense: &Expense, cx: &StepContext) -> StepResult<Verdict> {
        if let Some(verdict) = self.decided(expense, cx)? {
            return finish(verdict);
        }
        say(&format!("expense {}: {} did not decide in time", cx.run_id(), expense.deciders[self.turn]));
        self.turn += 1;
        self.ask(expense, cx)
    }
}

impl Approval {
    /// A decision that came before this wait is kept, and is found at once.
    fn ask(&self, expense: &Expense, cx: &StepContext) -> StepResult<Verdict> {
        let Some(name) = expense.deciders.get(self.turn) else {
            let reason = "nobody decided in time".to_string();
            return finish(Verdict { by: None, decision: Decision::Reject { reason } });
        };
        let limit = Duration::from_millis(expense.limit);
        say(&format!("expense {}: waits {limit:?} for {name} to decide", cx.run_id()));
        wait_for_signal(signal_of(name), limit)
    }

    /// What those decided who were asked: the one whose turn it is, or, too late for their own turn, one before.
    fn decided(&self, expense: &Expense, cx: &StepContext) -> Result<Option<Verdict>, StepError> {
        for name in expense.deciders.iter().take(self.turn + 1).rev() {
            if let Some(decision) = cx.signal(&signal_of(name))? {
                return Ok(Some(Verdict { by: Some(name.clone()), decision }));
            }
        }
        Ok(None)
    }
}

/// Puts the verdict where the one who pays finds it. Its file is named by the idempotency key: a call that is made again
/// after a crash writes the same file, and nothing is paid twice.
#[step(retry(max_attempts = 3, backoff = "200ms..1s"))]
fn carry_out(verdict: Verdict, cx: &StepContext) -> StepResult<Verdict> {
    let expense: Expense = cx.run_input()?;
    let (directory, text) = (&expense.verdicts, verdict.text());
    fs::create_dir_all(directory).with_context(|| format!("can't create `{}`", directory.display()))?;
    let path = directory.join(cx.idempotency_key().to_string().replace(':', "-")).with_extension("txt");
    let part = path.with_added_extension("part");
    fs::write(&part, format!("{} ({} cents): {text}\n", expense.what, expense.cents))
        .and_then(|()| fs::rename(&part, &path))
        .with_context(|| format!("can't write `{}`", path.display()))?;
    say(&format!("expense {}: {text}", cx.run_id()));
    finish(verdict)
}
