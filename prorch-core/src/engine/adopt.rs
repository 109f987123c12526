//! Runs that were started with another list of steps, and go on here by that list.
//!
//! A claim knows definitions, and nothing of where a run stands. So whoever can go on with runs of a list that is not its
//! own stores them under a definition of their own, by one compare-and-set for each, after it was seen that they fit; from
//! then on they are claimed like all others. Runs that a worker of their own program takes are left to that.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Shared;
use super::neighbours::Neighbours;
use super::wake::Inbound;
use super::worker::{Mode, Worker};
use crate::model::{Answer, Cursor, Definition, Filter, Part, Run, Text, Timestamp, Update, WorkerId};
use crate::registry::{Judgement, Match};
use crate::repository::{ClaimRequest, Leases, StoreError, ask};

/// So long a run must have been due: a worker of its own program, if there is one with room, takes it sooner.
const GRACE: Duration = Duration::from_secs(5);
/// How often a worker looks for such runs while there are any.
const LOOK_EVERY: Duration = Duration::from_millis(1_500);
/// How often it looks whether there are any.
const LOOK_ANYWAY: Duration = Duration::from_secs(60);
/// A look costs the store at most such a part of the time.
const SHARE: u32 = 50;
/// How many runs are looked at in one go.
const PAGE: usize = 256;
/// How many definitions are made out in one go, and how many are remembered.
const MADE_OUT: usize = 32;
const REMEMBERED: usize = 1_000;

/// How long a run of another list must have been due before it is gone on with here.
pub(super) fn grace(shared: &Shared) -> Duration {
    GRACE.min(shared.config.lease)
}

/// What a worker knows of runs that were started with other lists than its own.
#[derive(Debug)]
pub(super) struct Sight {
    /// How many pipelines there were when this was judged.
    pipelines: usize,
    /// Definitions none of whose runs can go on here.
    others: Vec<Definition>,
    /// Those of which some can.
    found: Vec<(Definition, Arc<Match>)>,
    /// Where the next page of their runs begins.
    next: Option<Cursor>,
    /// Who holds runs of them.
    neighbours: Neighbours,
}

/// What a look brought.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Looked {
    /// How many definitions were met for the first time.
    met: usize,
    /// How many runs go on here from now on.
    adopted: usize,
}

/// Whose runs may be taken, and when.
#[derive(Clone, Debug)]
struct Rules {
    now: Timestamp,
    leases: Leases,
    room: usize,
}

impl Sight {
    pub(super) fn new() -> Self {
        let (others, found) = (Vec::new(), Vec::new());
        Self { pipelines: 0, others, found, next: None, neighbours: Neighbours::new() }
    }

    /// One look of a worker that has room for so many runs.
    async fn look(&mut self, shared: &Shared, me: WorkerId, room: usize) -> Result<Looked, StoreError> {
        let met = self.make_out(shared).await?;
        if self.found.is_empty() {
            return Ok(Looked { met, adopted: 0 });
        }
        let now = shared.time.now();
        let leases = self.leases(shared, me, now).await?;
        let adopted = if room == 0 { 0 } else { self.adopt(shared, &Rules { now, leases, room }).await? };
        if adopted == 0 && self.next.is_none() && self.none_is_left(shared).await? {
            self.found.clear();
        }
        Ok(Looked { met, adopted })
    }

    /// All runs that a pass may take. It can't wait to see anybody's clock go on, and trusts its time.
    pub(super) async fn look_for_pass(shared: &Shared, now: Timestamp) -> Result<(), StoreError> {
        let mut sight = Self::new();
        sight.make_out(shared).await?;
        let rules = Rules { now, leases: Leases::ByTime, room: PAGE };
        while !sight.found.is_empty() {
            sight.adopt(shared, &rules).await?;
            if sight.next.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// Meets the definitions that open runs have and that are not known yet; says how many there are.
    async fn make_out(&mut self, shared: &Shared) -> Result<usize, StoreError> {
        let pipelines = shared.catalog.pipelines();
        if pipelines != self.pipelines || self.others.len() >= REMEMBERED {
            (self.others, self.found, self.pipelines) = (Vec::new(), Vec::new(), pipelines);
        }
        for met in 0..MADE_OUT {
            let filter = Filter { other_than: self.met(shared), limit: 1, ..Filter::active() };
            let page = ask(|| shared.repository.search(&filter)).await?.answer;
            let Some(run) = page.runs.into_iter().next() else { return Ok(met) };
            match shared.catalog.judge(&run.definition) {
                Judgement::Foreign | Judgement::Differs(_) => self.others.push(run.definition),
                Judgement::Fits(found) => {
                    // Others may have stored runs under it already; then it is known from here on.
                    let is_new = shared.catalog.learn(&found);
                    if found.adopted != run.definition {
                        self.found.push((run.definition, found));
                    } else if !is_new {
                        self.others.push(run.definition);
                    }
                }
            }
        }
        Ok(MADE_OUT)
    }

    fn met(&self, shared: &Shared) -> Vec<Definition> {
        let known = shared.catalog.definitions();
        let found = self.found.iter().map(|(definition, _)| definition);
        known.iter().chain(&self.others).chain(found).cloned().collect()
    }

    fn definitions(&self) -> Vec<Definition> {
        self.found.iter().map(|(definition, _)| definition.clone()).collect()
    }

    /// Whose leases are over, by what was seen of their holders.
    async fn leases(&mut self, shared: &Shared, me: WorkerId, now: Timestamp) -> Result<Leases, StoreError> {
        let request = ClaimRequest {
            definitions: self.definitions().into(),
            limit: 1,
            by_age: 0,
            suspect: true,
            holder: me,
            lease: shared.config.lease,
            leases: Leases::default(),
            now,
            due_by: now,
            limits: Arc::default(),
        };
        let clocks = shared.repository.outlook(&request).await?.clocks;
        let elapsed = shared.clock.elapsed();
        self.neighbours.note(&clocks, me, shared.config.lease, elapsed);
        Ok(Leases::ByHolder(self.neighbours.times(elapsed)))
    }

    /// Stores runs of one page under what they are known by here, those that can go on; says how many.
    async fn adopt(&mut self, shared: &Shared, rules: &Rules) -> Result<usize, StoreError> {
        let due = rules.now.saturating_sub(grace(shared));
        let filter = Filter {
            definitions: Some(self.definitions()),
            due: Some(due),
            after: self.next,
            limit: rules.room.min(PAGE),
            ..Filter::active()
        };
        let page = ask(|| shared.repository.search(&filter)).await?.answer;
        self.next = page.next;
        let mut updates = Vec::new();
        for run in page.runs {
            updates.extend(self.adopted(shared, rules, run).await?);
        }
        if updates.is_empty() {
            return Ok(0);
        }
        let updates: Arc<[Update]> = updates.into();
        let answers = ask(|| shared.repository.update(updates.clone())).await?.answer;
        let applied = answers.iter().filter(|answer| matches!(answer, Answer::Applied { .. })).count();
        tracing::info!(
            runs = applied,
            "runs that were started with another list of steps go on here by that list"
        );
        Ok(applied)
    }

    async fn adopted(&self, shared: &Shared, rules: &Rules, run: Run) -> Result<Option<Update>, StoreError> {
        if !rules.allow(&run) {
            return Ok(None);
        }
        let Some((_, found)) = self.found.iter().find(|(definition, _)| *definition == run.definition) else {
            return Ok(None);
        };
        // Read again, it may have been taken: then the epoch or the rules say so.
        let Some((run, None)) = standing(shared, run, found).await? else { return Ok(None) };
        Ok(rules.allow(&run).then(|| run.adopt(found.adopted.clone(), rules.now)))
    }

    async fn none_is_left(&self, shared: &Shared) -> Result<bool, StoreError> {
        let filter = Filter { definitions: Some(self.definitions()), limit: 1, ..Filter::active() };
        Ok(shared.repository.search(&filter).await?.runs.is_empty())
    }
}

impl Rules {
    fn allow(&self, run: &Run) -> bool {
        let is_free = run.lease.is_none_or(|lease| !lease.is_live(self.now));
        is_free && self.leases.allow(run)
    }
}

/// The run as it is now, and what keeps it from going on here, if anything does; none when it is gone.
pub(super) async fn standing(
    shared: &Shared,
    run: Run,
    found: &Match,
) -> Result<Option<(Run, Option<Text>)>, StoreError> {
    if found.fit.is_whole() {
        return Ok(Some((run, None)));
    }
    let stored = ask(|| shared.repository.get(run.id, Part::Work)).await?.answer;
    Ok(stored.map(|stored| {
        let end = || found.fit.end.clone().filter(|_| stored.run.parent.is_some());
        let differs = found.fit.of(&stored).or_else(end);
        (stored.run, differs)
    }))
}

/// When a worker looks for runs of other lists.
#[derive(Debug)]
pub(super) struct Adoption {
    /// None while it looks.
    sight: Option<Sight>,
    /// By the clock's `elapsed`; and when it may be sooner, if there is a hint.
    at: Duration,
    not_before: Duration,
}

impl Adoption {
    pub(super) fn new() -> Self {
        Self { sight: Some(Sight::new()), at: Duration::ZERO, not_before: Duration::ZERO }
    }

    /// Something may have become due that this worker does not know.
    pub(super) fn hint(&mut self) {
        self.at = self.at.min(self.not_before);
    }
}

impl Worker {
    /// When to look for runs of other lists.
    pub(super) fn next_adoption(&self) -> Option<Duration> {
        let wants = self.mode == Mode::Worker && self.stopping.is_none() && self.adoption.sight.is_some();
        wants.then_some(self.adoption.at)
    }

    /// Looks for runs of other lists, if it is time.
    pub(super) fn look_for_others(&mut self) {
        let elapsed = self.shared.clock.elapsed();
        if self.next_adoption().is_none_or(|at| elapsed < at) {
            return;
        }
        let Some(mut sight) = self.adoption.sight.take() else { return };
        let (shared, sender, me) = (self.shared.clone(), self.sender.clone(), self.me);
        let room = self.shared.config.concurrency.saturating_sub(self.slots.len());
        tokio::spawn(async move {
            let began = Instant::now();
            let looked = sight.look(&shared, me, room).await;
            // The worker may have ended meanwhile.
            let _ = sender.send(Inbound::Others { sight, looked, took: began.elapsed() });
        });
    }

    pub(super) fn on_others(&mut self, sight: Sight, looked: Result<Looked, StoreError>, took: Duration) {
        let looked = looked.unwrap_or_else(|error| {
            tracing::debug!(%error, "it can't be looked for runs of other lists; trying again");
            Looked::default()
        });
        let elapsed = self.shared.clock.elapsed();
        let costs = elapsed + took * SHARE;
        let every = if sight.found.is_empty() { LOOK_ANYWAY } else { LOOK_EVERY };
        self.adoption.not_before = costs.max(elapsed + LOOK_EVERY);
        self.adoption.at = costs.max(elapsed + every);
        if looked.adopted > 0 && sight.next.is_some() {
            self.adoption.at = elapsed + took;
        }
        if looked.met > 0 {
            self.name_soon();
        }
        if looked.adopted + looked.met > 0 {
            self.look.soon();
        }
        self.adoption.sight = Some(sight);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Lease, NewRun, RunId};
    use crate::repository::HolderTime;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(0) + Duration::from_secs(seconds)
    }

    #[test]
    fn a_run_is_taken_from_nobody_whose_lease_was_not_seen_for_its_length() {
        let holder = WorkerId::from_bytes([1; 16]);
        let new = NewRun::new(RunId::from_bytes([1; 16]), Definition::new("p", 1), Text::from("1"), at(0));
        let mut run = Run::new(new);
        let allow = |run: &Run, leases| Rules { now: at(1_000), leases, room: 1 }.allow(run);
        let seen = |over| Leases::ByHolder([HolderTime { holder, over }].into());
        assert!(allow(&run, seen(at(0))), "nobody holds it");
        run.lease = Some(Lease::new(holder, at(0), Duration::from_secs(30)));
        assert!(!allow(&run, Leases::ByHolder([].into())), "its holder's clock may be behind");
        assert!(!allow(&run, seen(at(29))));
        assert!(allow(&run, seen(at(30))));
        run.lease = Some(Lease::new(holder, at(990), Duration::from_secs(30)));
        assert!(!allow(&run, Leases::ByTime), "the time of the claim must agree");
    }
}
