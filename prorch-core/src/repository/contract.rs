use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::{
    Answer, Clocks, Definition, Filter, Health, Lease, Leases, Limits, NewRun, Order, Page, Part, Run, RunId,
    StoreError, StoredRun, Text, Timestamp, Update, WorkerId,
};

/// Where runs live.
///
/// Four methods are required, and **four are enough for a correct back end**. The provided ones are written in terms
/// of the four; a back end overrides them to be fast, never to be right. The suite `conformance!` of `prorch-testkit`
/// tells whether a back end keeps the contract, in one line.
///
/// # What a back end promises
///
/// * When [`save`](Self::save) and [`update`](Self::update) return `Ok`, what they applied survives whatever the back
///   end says that it survives (a crash of the process, a power loss). When they return an error, what they would have
///   written is there whole or not at all, and [`StoreError::is_ambiguous`] says when it may be there. Nothing else may
///   be lost, and nothing is ever half there.
/// * An [`Update`] applies only under its [`Guard`](super::Guard), compared in the same transaction that writes.
/// * Text is kept to the letter (also quotes, emoji and line breaks) and sorts by its bytes; times are kept to the
///   microsecond.
/// * Time is an argument of every call that needs it. A back end never reads a clock.
///
/// # What the caller owes
///
/// * At most one guarded update of a run is in flight, and a batch holds at most one.
/// * An update that got no answer is sent again, as [`Update::again`] makes it, until it gets one. [`Answer::Stale`] then
///   says *unknown*. So a write that is given up by the back end and takes effect all the same, later than what was
///   written after it, finds another epoch.
pub trait Repository: Send + Sync + 'static {
    /// The part of the run that is asked for; none when there is no such run.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store can't be read, or the row holds what no run can be.
    fn get(
        &self,
        id: RunId,
        part: Part,
    ) -> impl Future<Output = Result<Option<StoredRun>, StoreError>> + Send;

    /// Inserts runs, each with its records, all of them or none, and says for each in turn whether it was new.
    ///
    /// A run whose id is there already is not inserted again, and neither is one whose key is taken by another run of
    /// the same pipeline: the answer names the run that is there. Two of one batch count as one after the other.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was inserted, unless it is ambiguous.
    fn save(&self, runs: Vec<NewRun>) -> impl Future<Output = Result<Vec<Saved>, StoreError>> + Send;

    /// Applies each update whole or not at all, all in one transaction, and answers each by itself, in order.
    ///
    /// An update that the store can't take gets [`Answer::Rejected`] and harms none of the others. One that stores its run
    /// under another definition (`Update::definition`) moves it, with the list, to those who claim that one; the definition
    /// of another pipeline is rejected.
    ///
    /// One that removes ([`Update::removal`]) takes away as much of a run that has ended as it says, and, when that is all, the
    /// run with its messages, marks and history: the answer is then [`Answer::Removed`]. Else the run is sealed, and takes nothing
    /// but removals from then on.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was written, unless it is ambiguous.
    fn update(&self, updates: Arc<[Update]>) -> impl Future<Output = Result<Vec<Answer>, StoreError>> + Send;

    /// The runs that [`Filter::matches`], as [`Filter::page`] orders and cuts them.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store can't be read. A row that can't be read is passed over.
    fn search(&self, filter: &Filter) -> impl Future<Output = Result<Page, StoreError>> + Send;

    /// [`update`](Self::update), where there are any, and then a claim for the places that are free: one transaction, where
    /// the back end can. An error of the claim alone is not one of the turn: the answers of the updates are not lost.
    ///
    /// A claim takes the right to work on up to `limit` runs that are due, each with what a decision needs
    /// ([`Part::Work`]). Every claim is durable when this returns. Two workers never get one run.
    ///
    /// So many places as [`ClaimRequest::by_age`] says go to the longest due of any priority, the others to the most urgent,
    /// and among those to the longest due. A worker asks for one place in eight by age: so no run starves.
    ///
    /// A run that needs something of a limit that is full is not claimed. It waits ([`Run::permits`]), is not due meanwhile,
    /// and its place goes to the next one. What is free of a limit of [`running`](Limits::running) or
    /// [`calls`](Limits::calls) goes, in the transaction that frees it, to the run that waits for it: the most urgent, the
    /// longest due among those. That one counts from then on, and is due. Where a claim says that there is more room, the
    /// same happens. One that waits for a [rate](Limits::rates) is due when that lets one through.
    ///
    /// # Errors
    ///
    /// [`StoreError`] of the update. Runs that were claimed though the claim's answer is an error come back when their
    /// lease has run out.
    fn turn(
        &self,
        updates: Arc<[Update]>,
        claim: Option<ClaimRequest>,
    ) -> impl Future<Output = Result<Turn, StoreError>> + Send {
        provided::turn(self, updates, claim)
    }

    /// When a claim by `request` may find something, and what the store shows of the clocks of those who write to it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store can't be read.
    fn outlook(&self, request: &ClaimRequest) -> impl Future<Output = Result<Outlook, StoreError>> + Send {
        provided::outlook(self, request)
    }

    /// Returns when something may have become due that was not there before: a hint. It may come late, too often, or
    /// (in back ends that can't tell) after a fixed time.
    fn changed(&self) -> impl Future<Output = ()> + Send {
        provided::changed()
    }

    /// What somebody should look after in the store: a disk that is full, a log that can't be tidied, a store that was
    /// given up. Whoever has nothing to say need not write it.
    ///
    /// It answers from what is known and does not wait for the store, so that it can be asked when nothing else answers.
    fn health(&self) -> impl Future<Output = Health> + Send {
        std::future::ready(Health::default())
    }
}

/// What [`Repository::save`] says to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// It was inserted.
    New,
    /// This run is there already, under the same id or the same key; nothing was inserted.
    Known(RunId),
}

/// What a worker wants to claim.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimRequest {
    /// The definitions that the worker knows; no other run is given to it.
    pub definitions: Arc<[Definition]>,
    /// At most so many runs.
    pub limit: usize,
    /// So many of them those that are longest due, whatever their priority.
    pub by_age: usize,
    /// Whether one run that is suspect of killing its worker may be among them: never more than one, and none
    /// while the worker has another.
    pub suspect: bool,
    /// Who claims.
    pub holder: WorkerId,
    /// For how long.
    pub lease: Duration,
    /// The time.
    pub now: Timestamp,
    /// By what it tells that a lease is over.
    pub leases: Leases,
    /// Only runs that were due at this time, which is `now` or earlier: the one time of a pass.
    pub due_by: Timestamp,
    /// The limits of these definitions, by the pipelines' names; of a pipeline that is not there nothing is limited.
    pub limits: Arc<BTreeMap<Text, Limits>>,
}

/// The right to work on a run until its lease ends, with what a decision needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The run as it stands *after* the claim, with [`Part::Work`]. Its epoch is the claim's.
    pub stored: StoredRun,
}

impl Claim {
    /// Whether the run cut off its worker so often that it is executed with no other such run beside it.
    #[must_use]
    pub const fn is_suspect(&self) -> bool {
        self.stored.run.state.crashes >= Run::SUSPECT_AFTER
    }
}

/// What a [`Repository::turn`] brings.
#[derive(Debug)]
pub struct Turn {
    /// The answer to each update, in order.
    pub answers: Vec<Answer>,
    /// The runs that were claimed.
    pub claims: Result<Vec<Claim>, StoreError>,
}

/// What a store says to a worker that found nothing to claim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// The earliest time at which a claim by the same request could return something; none when only a change to the
    /// store can make that happen, or (for runs that are held, by [`Leases::ByHolder`]) more that is known of the holders'
    /// clocks. Straight after a claim that returned nothing it lies in the future, whatever other runs are due.
    pub due: Option<Timestamp>,
    /// In runs of the definitions that the request names: how late it is by the latest of those who wrote them, and what
    /// each worker that holds some has stamped.
    pub clocks: Clocks,
}

/// The provided methods, in terms of the required four.
mod provided {
    use std::collections::BTreeMap;

    use super::*;
    use crate::repository::clocks::clocks;

    /// The places of runs that met a full limit go to the next ones.
    async fn claim_due<R: Repository + ?Sized>(
        repository: &R,
        request: &ClaimRequest,
    ) -> Result<Vec<Claim>, StoreError> {
        let mut claims = Vec::new();
        let mut rest = request.clone();
        while claim_some(repository, &rest, &mut claims).await? {
            rest.limit = request.limit.saturating_sub(claims.len());
            rest.by_age = request.by_age.min(rest.limit);
            rest.suspect = request.suspect && !claims.iter().any(Claim::is_suspect);
        }
        Ok(claims)
    }

    /// Says whether any of the runs met a full limit.
    async fn claim_some<R: Repository + ?Sized>(
        repository: &R,
        request: &ClaimRequest,
        claims: &mut Vec<Claim>,
    ) -> Result<bool, StoreError> {
        let found = candidates(repository, request).await?;
        if found.is_empty() {
            return Ok(false);
        }
        let lease = Lease::new(request.holder, request.now, request.lease);
        let within = |run: &Run| request.limits.get(&run.definition.pipeline);
        let updates: Arc<[Update]> =
            found.iter().map(|run| run.claim_within(within(run), lease, request.now)).collect();
        let answers = repository.update(updates).await?;
        let is_full = answers.contains(&Answer::Full);
        for (run, answer) in found.iter().zip(answers) {
            if let Answer::Applied { .. } = answer {
                let stored = repository.get(run.id, Part::Work).await?;
                claims.extend(stored.map(|stored| Claim { stored }));
            }
        }
        Ok(is_full)
    }

    /// The runs to claim: the most urgent, the longest due, and at most one suspect.
    async fn candidates<R: Repository + ?Sized>(
        repository: &R,
        request: &ClaimRequest,
    ) -> Result<Vec<Run>, StoreError> {
        let due = Filter {
            definitions: Some(request.definitions.to_vec()),
            due: Some(request.now),
            due_by: Some(request.due_by),
            suspect: Some(false),
            ..Filter::all()
        };
        let mut found = BTreeMap::new();
        let mut order = Vec::new();
        let by_age = request.by_age.min(request.limit);
        let mut searches = vec![
            Filter { order: Order::Due, limit: by_age, ..due.clone() },
            Filter { order: Order::Urgency, limit: request.limit, ..due.clone() },
        ];
        if request.suspect {
            searches.insert(0, Filter { suspect: Some(true), order: Order::Urgency, limit: 1, ..due });
        }
        for filter in searches.into_iter().filter(|filter| filter.limit > 0) {
            for run in search(repository, filter, |run| request.leases.allow(run)).await? {
                if order.len() < request.limit && found.insert(run.id, ()).is_none() {
                    order.push(run);
                }
            }
        }
        if !request.limits.is_empty() {
            // Where a limit has less room than there are, the most urgent get it.
            order.sort_by_key(|run| (run.priority, run.claimable_at(), run.id));
        }
        Ok(order)
    }

    /// The first runs that `filter` finds and `fits` takes.
    async fn search<R: Repository + ?Sized>(
        repository: &R,
        mut filter: Filter,
        fits: impl Fn(&Run) -> bool,
    ) -> Result<Vec<Run>, StoreError> {
        let wanted = filter.limit;
        loop {
            let mut found = repository.search(&filter).await?.runs;
            let is_all = found.len() < filter.limit;
            found.retain(&fits);
            found.truncate(wanted);
            if is_all || found.len() == wanted {
                return Ok(found);
            }
            filter.limit = filter.limit.saturating_mul(4);
        }
    }

    pub(super) async fn turn<R: Repository + ?Sized>(
        repository: &R,
        updates: Arc<[Update]>,
        claim: Option<ClaimRequest>,
    ) -> Result<Turn, StoreError> {
        let answers = if updates.is_empty() { Vec::new() } else { repository.update(updates).await? };
        let claims = match claim {
            Some(request) => claim_due(repository, &request).await,
            None => Ok(Vec::new()),
        };
        Ok(Turn { answers, claims })
    }

    pub(super) async fn outlook<R: Repository + ?Sized>(
        repository: &R,
        request: &ClaimRequest,
    ) -> Result<Outlook, StoreError> {
        let due = next_due(repository, request).await?;
        Ok(Outlook { due, clocks: clocks(repository, request).await? })
    }

    async fn next_due<R: Repository + ?Sized>(
        repository: &R,
        request: &ClaimRequest,
    ) -> Result<Option<Timestamp>, StoreError> {
        let filter = Filter {
            definitions: Some(request.definitions.to_vec()),
            suspect: (!request.suspect).then_some(false),
            order: Order::Due,
            limit: 1,
            ..Filter::active()
        };
        let counts = |run: &Run| request.leases.end_by_time() || run.lease.is_none();
        let found = search(repository, filter, counts).await?;
        Ok(found.first().and_then(Run::claimable_at))
    }

    pub(super) async fn changed() {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
