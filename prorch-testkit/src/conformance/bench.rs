use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prorch_core::repository::{
    Answer, Cause, CauseKind, ClaimRequest, Definition, Filter, Guard, Hold, Lease, Leases, Mail, Message,
    MessageId, NewRun, Page, Part, Position, Post, RecordWrite, Repository, Run, RunId, RunState, Saved,
    Status, StepRecord, StoredRun, Text, Timestamp, Update, WorkerId,
};

/// The length of every lease here.
pub(super) const LEASE: Duration = Duration::from_secs(30);

/// The numbers of no runs.
pub(super) const NONE: [u64; 0] = [];

/// `seconds` after the time at which all cases begin.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_800_000_000_000_000 + seconds * 1_000_000)
}

/// The id of the `n`-th run; ids sort like their numbers.
pub(super) fn id(n: u64) -> RunId {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&n.to_be_bytes());
    RunId::from_bytes(bytes)
}

/// The number of an [`id`].
pub(super) fn number(id: RunId) -> u64 {
    let (_, low) = id.as_uuid().as_u64_pair();
    low
}

pub(super) fn worker(n: u8) -> WorkerId {
    WorkerId::from_bytes([n; 16])
}

pub(super) fn definition(pipeline: &str, fingerprint: u64) -> Definition {
    Definition::new(pipeline, fingerprint)
}

/// What [`new_run`] executes.
pub(super) fn known() -> Definition {
    definition("backup", 1)
}

/// A run of [`known`] that was started, and is due, at the beginning.
pub(super) fn new_run(n: u64) -> NewRun {
    NewRun::new(id(n), known(), Text::from("null"), at(0))
}

pub(super) fn message_id(n: u64) -> MessageId {
    MessageId::from_bytes(*id(n).as_bytes())
}

/// A signal `go`, posted at the beginning.
pub(super) fn signal(n: u64) -> Message {
    let mail = Mail::Signal { name: Text::from("go"), payload: Text::from("1") };
    Message::new(message_id(n), mail, at(0))
}

/// A signal that is posted at this time.
pub(super) fn signal_at(n: u64, now: Timestamp) -> Message {
    Message { at: now, ..signal(n) }
}

pub(super) fn post(to: u64, message: Message) -> Post {
    Post { to: id(to), message }
}

pub(super) fn applied(inbox_seq: u64) -> Answer {
    Answer::Applied { inbox_seq }
}

pub(super) fn position(stage: u32, item: u32) -> Position {
    Position { stage, item }
}

/// A record that a run has just come to.
pub(super) fn record(stage: u32, item: u32) -> StepRecord {
    StepRecord::new(position(stage, item), Text::from(format!("step-{stage}-{item}")), at(0))
}

/// The state of a run that ended like this.
pub(super) fn ended(run: &Run, status: Status) -> RunState {
    let cause = (status != Status::Finished).then(|| Cause {
        step: None,
        kind: CauseKind::Cancelled,
        text: Text::from("somebody said so"),
    });
    let output = (status == Status::Finished).then(|| Text::from("1"));
    RunState { status, output, cause, ended_at: Some(at(0)), ..run.state.clone() }
}

/// All that is stored of a run, but for where: what is compared to tell that nothing was written.
#[derive(Debug, PartialEq)]
pub(super) struct Whole {
    pub(super) run: Run,
    pub(super) records: BTreeMap<Position, StepRecord>,
    pub(super) untaken: Vec<Message>,
}

/// A repository under test, with the calls in the short form that the cases use.
#[derive(Debug)]
pub struct Bench<R> {
    pub(super) repository: Arc<R>,
}

impl<R: Repository> Bench<R> {
    pub(super) fn new(repository: R) -> Self {
        Self { repository: Arc::new(repository) }
    }

    pub(super) async fn save(&self, runs: impl IntoIterator<Item = NewRun>) -> Vec<Saved> {
        self.repository.save(runs.into_iter().collect()).await.expect("save")
    }

    pub(super) async fn batch(&self, updates: impl IntoIterator<Item = Update>) -> Vec<Answer> {
        self.repository.update(updates.into_iter().collect()).await.expect("update")
    }

    pub(super) async fn update(&self, update: Update) -> Answer {
        let answers = self.batch([update]).await;
        <[Answer; 1]>::try_from(answers).expect("one answer to one update").into_iter().next().expect("one")
    }

    /// Posts a signal from outside.
    pub(super) async fn post(&self, to: u64, message: Message) -> Answer {
        self.update(Update::post(id(to), message)).await
    }

    pub(super) async fn get(&self, n: u64, part: Part) -> Option<StoredRun> {
        self.repository.get(id(n), part).await.expect("get")
    }

    /// The row of a run that is there.
    pub(super) async fn row(&self, n: u64) -> Run {
        self.get(n, Part::Row).await.expect("the run is there").run
    }

    /// What a decision needs of a run that is there.
    pub(super) async fn work(&self, n: u64) -> StoredRun {
        self.get(n, Part::Work).await.expect("the run is there")
    }

    pub(super) async fn whole(&self, n: u64) -> Whole {
        let all = Part::Records { from: Position::default(), limit: 10_000 };
        let records = self.get(n, all).await.expect("the run is there").records;
        let StoredRun { run, inbox, .. } = self.work(n).await;
        Whole { run, records, untaken: inbox }
    }

    pub(super) async fn search(&self, filter: &Filter) -> Page {
        self.repository.search(filter).await.expect("search")
    }

    /// The numbers of the runs that are found.
    pub(super) async fn find(&self, filter: &Filter) -> Vec<u64> {
        self.search(filter).await.runs.iter().map(|run| number(run.id)).collect()
    }

    pub(super) async fn claim(&self, request: &ClaimRequest) -> Vec<Held> {
        let turn = self.repository.turn(Arc::from([]), Some(request.clone())).await.expect("turn");
        let claims = turn.claims.expect("claim");
        claims.into_iter().map(|claim| Held { stored: claim.stored, holder: request.holder }).collect()
    }

    /// The numbers of the runs that are claimed, sorted.
    pub(super) async fn claimed(&self, request: &ClaimRequest) -> Vec<u64> {
        let mut numbers: Vec<_> = self.claim(request).await.iter().map(Held::number).collect();
        numbers.sort_unstable();
        numbers
    }

    pub(super) async fn next_due(&self, request: &ClaimRequest) -> Option<Timestamp> {
        self.repository.outlook(request).await.expect("outlook").due
    }

    /// Claims just this run for a worker, due or not.
    pub(super) async fn take(&self, n: u64, holder: WorkerId, now: Timestamp) -> Held {
        let claim = self.row(n).await.claim(Lease::new(holder, now, LEASE), now);
        assert!(matches!(self.update(claim).await, Answer::Applied { .. }), "run {n} can be claimed");
        Held { stored: self.work(n).await, holder }
    }

    /// A new run that the first worker claimed at the beginning.
    pub(super) async fn held(&self, n: u64) -> Held {
        self.save([new_run(n)]).await;
        self.take(n, worker(1), at(0)).await
    }

    /// A new run that ended.
    pub(super) async fn ended(&self, n: u64, status: Status) -> Run {
        let held = self.held(n).await;
        let state = Some(ended(&held.stored.run, status));
        let answer = self.update(Update { state, ..held.release(None) }).await;
        assert_eq!(answer, applied(0));
        self.row(n).await
    }

    /// A new, idle run whose state was changed like this.
    pub(super) async fn with_state(&self, new: NewRun, change: impl FnOnce(&mut RunState)) {
        let n = number(new.id);
        let due_at = Some(new.due_at);
        self.save([new]).await;
        let held = self.take(n, worker(1), at(0)).await;
        let mut state = held.stored.run.state.clone();
        change(&mut state);
        let answer = self.update(Update { state: Some(state), ..held.release(due_at) }).await;
        assert_eq!(answer, applied(0));
    }
}

/// What the first worker asks for at a time, unless a case says otherwise.
pub(super) fn request(limit: usize, now: Timestamp) -> ClaimRequest {
    ClaimRequest {
        definitions: [known()].into(),
        limit,
        by_age: limit / 8,
        suspect: false,
        leases: Leases::ByTime,
        holder: worker(1),
        lease: LEASE,
        now,
        due_by: now,
        limits: Arc::default(),
    }
}

/// A run that a worker holds.
#[derive(Clone, Debug)]
pub struct Held {
    pub(super) stored: StoredRun,
    pub(super) holder: WorkerId,
}

impl Held {
    pub(super) fn number(&self) -> u64 {
        number(self.stored.run.id)
    }

    pub(super) fn guard(&self) -> Guard {
        Guard::Held(self.stored.run.epoch, self.holder)
    }

    fn update(&self, hold: Hold) -> Update {
        let locator = self.stored.locator;
        Update { locator, ..Update::new(self.stored.run.id, self.guard(), hold, at(0)) }
    }

    /// An update that keeps the claim, and changes nothing yet.
    pub(super) fn keep(&self) -> Update {
        self.update(Hold::Keep)
    }

    /// An update that gives the run back, having seen what there was at the claim.
    pub(super) fn release(&self, due_at: Option<Timestamp>) -> Update {
        self.update(Hold::Release { due_at, seen: self.stored.run.inbox_seq })
    }

    /// A renewal.
    pub(super) fn renew(&self, now: Timestamp) -> Update {
        Update { at: now, ..self.update(Hold::Claim(Lease::new(self.holder, now, LEASE))) }
    }

    /// An update that keeps the claim and writes these records.
    pub(super) fn writing(&self, records: impl IntoIterator<Item = RecordWrite>) -> Update {
        Update { records: records.into_iter().collect(), ..self.keep() }
    }
}
