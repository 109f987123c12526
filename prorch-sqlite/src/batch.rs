//! What is written together: requests, and the transaction that they share.

use std::sync::Arc;

use prorch_core::model::{MAX_REASON, bounded};
use prorch_core::repository::{Answer, Claim, ClaimRequest, NewRun, Saved, StoreError, Text, Update};
use rusqlite::{Connection, Statement};

use crate::claim::Claims;
use crate::definitions::Definitions;
use crate::error::{Fault, Reach, is_full};
use crate::gates::Gates;
use crate::newest::Newest;
use crate::reader::Reply;
use crate::update::Updates;

/// What one caller wants written: new runs, then updates, then a claim.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) runs: Vec<NewRun>,
    pub(crate) updates: Arc<[Update]>,
    /// Those of the updates that no store can take, by their places in order.
    pub(crate) refused: Vec<(usize, Text)>,
    pub(crate) claim: Option<ClaimRequest>,
    pub(crate) weight: Weight,
    pub(crate) reply: Reply<Done>,
}

/// What a request brings to a transaction.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weight {
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
}

/// What became of a request.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) saved: Vec<Saved>,
    pub(crate) answers: Vec<Answer>,
    pub(crate) claims: Result<Vec<Claim>, StoreError>,
    /// Whether a run was handed what another one gave back of a limit.
    pub(crate) has_handed_over: bool,
}

impl Done {
    /// Whether something may be due that was not before.
    pub(crate) fn tells(&self, request: &Request) -> bool {
        let mut updates = request.updates.iter().zip(&self.answers);
        self.has_handed_over
            || self.saved.contains(&Saved::New)
            || updates.any(|(update, answer)| update.may_wake() && matches!(answer, Answer::Applied { .. }))
    }
}

/// Why a transaction did not come to its end.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nothing was written.
    Before(Fault),
    /// It is not known what was written.
    AtCommit(rusqlite::Error),
}

impl Failure {
    /// Whether there was no room for it.
    pub(crate) fn is_full(&self) -> bool {
        match self {
            Self::Before(Fault::Sqlite(error)) | Self::AtCommit(error) => is_full(error),
            Self::Before(_) => false,
        }
    }
}

/// How a transaction deals with what can't be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Care {
    /// It ends. That costs nothing as long as all is well.
    Together,
    /// That alone is undone and refused.
    OneByOne,
}

/// The statements of the connection that writes.
pub(crate) struct Batches<'c> {
    definitions: Definitions<'c>,
    gates: Gates<'c>,
    updates: Updates<'c>,
    claims: Claims<'c>,
    newest: Newest<'c>,
    commit: Statement<'c>,
    connection: &'c Connection,
}

impl<'c> Batches<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            definitions: Definitions::prepare(connection)?,
            gates: Gates::prepare(connection)?,
            updates: Updates::prepare(connection)?,
            claims: Claims::prepare(connection)?,
            newest: Newest::prepare(connection)?,
            commit: connection.prepare("COMMIT")?,
            connection,
        })
    }

    /// Does what is requested; the caller has begun the transaction and ends it.
    pub(crate) fn attempt(
        &mut self,
        requests: &[Request],
        care: Care,
    ) -> Result<Vec<Result<Done, StoreError>>, Fault> {
        requests.iter().map(|request| self.serve(request, care)).collect()
    }

    /// Ends the transaction for good.
    pub(crate) fn commit(&mut self) -> Result<(), Failure> {
        self.commit.execute([]).map(drop).map_err(Failure::AtCommit)
    }

    /// Ends a transaction that failed, unless SQLite has done so.
    pub(crate) fn roll_back(&mut self) -> rusqlite::Result<()> {
        self.definitions.forget();
        self.newest.forget();
        if self.connection.is_autocommit() { Ok(()) } else { self.connection.execute_batch("ROLLBACK") }
    }

    fn serve(&mut self, request: &Request, care: Care) -> Result<Result<Done, StoreError>, Fault> {
        let saved = match self.with(care, |own| own.save(&request.runs))? {
            Ok(saved) => saved,
            Err(fault) => return Ok(Err(fault.into_error("the runs can't be stored"))),
        };
        let before = self.gates.handed_over;
        let answers = self.update(request, care)?;
        let claims = match &request.claim {
            None => Ok(Vec::new()),
            Some(claim) => {
                let claims =
                    self.with(care, |own| own.claims.claim(&mut own.definitions, &mut own.gates, claim))?;
                claims.map_err(|fault| fault.into_error("no run could be claimed"))
            }
        };
        let has_handed_over = self.gates.handed_over != before;
        let done = Done { saved, answers, claims, has_handed_over };
        self.newest.note(request, &done)?;
        Ok(Ok(done))
    }

    fn save(&mut self, runs: &[NewRun]) -> Result<Vec<Saved>, Fault> {
        runs.iter().map(|new| self.updates.inserts.insert(&mut self.definitions, new)).collect()
    }

    fn update(&mut self, request: &Request, care: Care) -> Result<Vec<Answer>, Fault> {
        let mut refused = request.refused.iter().peekable();
        let mut answers = Vec::with_capacity(request.updates.len());
        for (place, update) in request.updates.iter().enumerate() {
            answers.push(match refused.next_if(|(at, _)| *at == place) {
                Some((_, why)) => Answer::Rejected(why.clone()),
                None => self.update_one(update, care)?,
            });
        }
        Ok(answers)
    }

    fn update_one(&mut self, update: &Update, care: Care) -> Result<Answer, Fault> {
        let applied =
            self.with(care, |own| own.updates.apply(&mut own.definitions, &mut own.gates, update))?;
        Ok(applied.unwrap_or_else(|fault| Answer::Rejected(bounded(&fault.to_string(), MAX_REASON))))
    }

    /// Runs `work`; with [`Care::OneByOne`] a fault of its own undoes it alone and is given back as a value.
    fn with<T>(
        &mut self,
        care: Care,
        work: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<Result<T, Fault>, Fault> {
        if care == Care::Together {
            return work(self).map(Ok);
        }
        self.connection.execute_batch("SAVEPOINT one")?;
        let done = work(self);
        match &done {
            Ok(_) => self.connection.execute_batch("RELEASE one")?,
            Err(fault) if fault.reach() == Reach::Own => {
                self.definitions.forget();
                self.connection.execute_batch("ROLLBACK TO one; RELEASE one")?;
            }
            Err(_) => return done.map(Ok),
        }
        Ok(done)
    }
}
