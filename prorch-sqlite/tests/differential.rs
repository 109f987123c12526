//! The same random calls to the in-memory repository and to SQLite get the same answers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "differential/dice.rs"]
mod dice;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use prorch_core::repository::*;
use prorch_sqlite::SqliteRepository;

use dice::Dice;

fn id(n: u64) -> u128 {
    (u128::from(n) << 64) | 7
}

fn run_id(n: u64) -> RunId {
    RunId::from_bytes(id(n).to_be_bytes())
}

fn worker(n: u64) -> WorkerId {
    WorkerId::from_bytes(id(n).to_be_bytes())
}

/// Both stores, and the time, which goes on.
struct Pair {
    memory: MemoryRepository,
    sqlite: SqliteRepository,
    dice: Dice,
    now: Timestamp,
    runs: u64,
    messages: u64,
}

impl Pair {
    fn new(sqlite: SqliteRepository, seed: u64) -> Self {
        let now = Timestamp::from_micros(1_800_000_000_000_000);
        Self { memory: MemoryRepository::new(), sqlite, dice: Dice(seed), now, runs: 0, messages: 0 }
    }

    fn any_run(&mut self) -> RunId {
        run_id(self.dice.roll(self.runs + 1))
    }

    fn time(&mut self) -> Timestamp {
        self.now.saturating_sub(Duration::from_secs(20)) + Duration::from_micros(self.dice.roll(60_000_000))
    }

    fn definition(&mut self) -> Definition {
        let pipeline = Text::from(["backup", "email", "unknown"][self.dice.roll(3) as usize]);
        Definition::new(pipeline, u64::MAX - self.dice.roll(2))
    }

    /// Ids go up with the places of the rows, because SQLite settles a tie by the place.
    async fn new_run(&mut self) -> NewRun {
        let known = self.any_run();
        let again = self.dice.one_in(10) && self.memory.get(known, Part::Row).await.unwrap().is_some();
        let id = if again {
            known
        } else {
            self.runs += 1;
            run_id(self.runs)
        };
        let origin =
            self.dice.one_in(4).then(|| Origin { run: run_id(self.dice.roll(9)), step: self.dice.name() });
        let mut records = Vec::new();
        while origin.is_some() && !self.dice.one_in(4) {
            records.push(self.record());
        }
        NewRun {
            key: self.dice.maybe(|dice| Text::from(format!("key{}", dice.roll(200)))),
            priority: if self.dice.one_in(50) { 10 } else { self.dice.roll(3) as u8 * 4 },
            parent: self.dice.maybe(|dice| Parent { run: known, position: dice.position() }),
            origin,
            records,
            spared: if self.dice.one_in(4) { vec![Text::from("max_running of email")] } else { Vec::new() },
            metadata: self.dice.metadata(),
            due_at: self.time(),
            ..NewRun::new(id, self.definition(), self.input(), self.now)
        }
    }

    /// Now and then one that is long.
    fn input(&mut self) -> Text {
        if self.dice.one_in(8) { Text::from("1".repeat(5_000)) } else { self.dice.text() }
    }

    fn record(&mut self) -> StepRecord {
        let position = self.dice.position();
        let child = run_id(self.dice.roll(self.runs + 1));
        StepRecord {
            // Of those that stand among many some have finished, and are not read.
            status: if self.dice.one_in(3) { Status::Finished } else { self.dice.status() },
            child: self.dice.maybe(|dice| Child { run: child, generation: dice.roll(3) as u32 }),
            resumable: self.dice.one_in(2),
            attempt: self.dice.roll(5) as u32,
            errors: self.dice.roll(5) as u32,
            state: self.dice.maybe(Dice::text),
            output: self.dice.maybe(Dice::text),
            error: self.dice.maybe(Dice::text),
            due_at: self.dice.maybe(|dice| Timestamp::from_micros(dice.roll(99) as i64 - 50)),
            awaits: self.dice.maybe(Dice::name),
            progress: self.dice.maybe(|dice| StepProgress { done: dice.roll(9), total: u64::MAX }),
            metadata: self.dice.metadata(),
            intent: self.dice.maybe(|dice| Timestamp::from_micros(dice.roll(99) as i64)),
            undo: self.dice.maybe(Dice::compensation),
            ended_at: self.dice.maybe(|dice| Timestamp::from_micros(dice.roll(99) as i64)),
            ..StepRecord::new(position, self.dice.name(), self.now)
        }
    }

    fn message(&mut self) -> Message {
        if !self.dice.one_in(5) {
            self.messages += 1;
        }
        let child = self.any_run();
        let mail = match self.dice.roll(5) {
            4 => Mail::Ended {
                position: self.dice.position(),
                child,
                status: Status::ALL[self.dice.roll(5) as usize],
                reason: self.dice.maybe(Dice::text),
            },
            0 => Mail::Signal { name: self.dice.name(), payload: self.dice.text() },
            1 => Mail::Cancel { reason: self.dice.text() },
            2 => Mail::Pause,
            _ => Mail::Resume,
        };
        Message::new(MessageId::from_bytes(id(self.messages).to_be_bytes()), mail, self.time())
    }

    fn lease(&mut self) -> Lease {
        let skew = Duration::from_secs(if self.dice.one_in(8) { 3_600 } else { 0 });
        let length = Duration::from_secs(10 + 20 * self.dice.roll(2));
        Lease::new(worker(self.dice.roll(2)), self.now + skew, length)
    }

    fn state(&mut self, old: &RunState) -> RunState {
        let status = self.dice.status();
        let causes = [
            CauseKind::Error,
            CauseKind::Deadline,
            CauseKind::Crash,
            CauseKind::Refused,
            CauseKind::Cancelled,
            CauseKind::Child,
            CauseKind::Undo,
            CauseKind::InDoubt,
        ];
        let kind = causes[self.dice.roll(7) as usize];
        RunState {
            status,
            output: self.dice.maybe(Dice::text),
            cause: self.dice.maybe(|dice| Cause { step: dice.maybe(Dice::name), kind, text: dice.text() }),
            metadata: self.dice.metadata(),
            paused: self.dice.one_in(6),
            crashes: self.dice.roll(4) as u32,
            stuck: self.dice.maybe(Dice::text),
            fan: self.dice.maybe(Dice::fan),
            starts: self.dice.maybe(Dice::name),
            undo: if self.dice.one_in(3) { Some(Box::new(self.dice.undo())) } else { None },
            started_at: old.started_at,
            ended_at: status.is_terminal().then_some(self.now),
        }
    }

    async fn update(&mut self) -> Update {
        let run = self.any_run();
        let known = self.memory.get(run, Part::Work).await.unwrap();
        let state = known.as_ref().map(|stored| self.state(&stored.run.state));
        let found = known.as_ref().map(|stored| &stored.run);
        let epoch = Epoch(found.map_or(0, |run| run.epoch.0 + u64::from(self.dice.one_in(8))));
        let holder = found.and_then(|run| run.lease).map_or(worker(0), |lease| lease.holder);
        let guard = match self.dice.roll(5) {
            0 => Guard::Post,
            1 => Guard::Idle(epoch),
            2 => Guard::Again(epoch, holder),
            _ => Guard::Held(epoch, holder),
        };
        let hold = match self.dice.roll(4) {
            0 => Hold::Release {
                due_at: self.dice.maybe(|_| ()).map(|()| self.time()),
                seen: found.map_or(0, |run| run.inbox_seq) + self.dice.roll(2),
            },
            1 => Hold::Claim(self.lease()),
            _ => Hold::Keep,
        };
        let taken = known.iter().flat_map(StoredRun::untaken).map(|message| message.id);
        let taken: Vec<_> = taken.filter(|_| self.dice.one_in(2)).collect();
        let mut update = Update { taken, ..Update::new(run, guard, hold, self.now) };
        update.state = state.filter(|_| self.dice.one_in(2));
        update.limits = self.dice.one_in(2).then(|| Box::new(self.limits()));
        update.definition = self.dice.one_in(5).then(|| self.definition());
        let records = if self.dice.one_in(6) { 20 } else { self.dice.roll(3) };
        update.records = (0..records).map(|_| RecordWrite::New(self.record())).collect();
        if self.dice.one_in(6) {
            update.removed.push(self.dice.position());
        }
        for _ in 0..self.dice.roll(3) {
            let to = if self.dice.one_in(2) { run } else { self.any_run() };
            update.posts.push(Post { to, message: self.message() });
        }
        let starts = if self.dice.one_in(8) { 1 + self.dice.roll(3) } else { 0 };
        for _ in 0..starts {
            update.starts.push(self.new_run().await);
        }
        update.history = self.dice.one_in(3).then(|| self.append());
        if self.dice.one_in(6) { self.removal(&update) } else { update }
    }

    fn append(&mut self) -> Box<Append> {
        let entry = |dice: &mut Dice, at| {
            let entry = HistoryEntry::new(HistoryKind::Erred, at);
            HistoryEntry { step: dice.maybe(Dice::name), text: dice.maybe(Dice::text), ..entry }
        };
        let entries = (0..self.dice.roll(4)).map(|_| entry(&mut self.dice, self.now)).collect();
        Box::new(Append { entries, most: self.dice.roll(16) as u32 })
    }

    /// A removal of the same run; now and then one that says something else as well.
    fn removal(&mut self, update: &Update) -> Update {
        let (rows, bytes) = (self.dice.roll(30) as usize, self.dice.roll(200) as usize);
        let removal = if self.dice.one_in(4) { Removal::Seal } else { Removal::UpTo { rows, bytes } };
        let guard = if self.dice.one_in(8) { Guard::Post } else { idle(update.guard) };
        let bare =
            Update { removal: Some(removal), ..Update::new(update.run, guard, update.hold, update.at) };
        if self.dice.one_in(8) { Update { posts: update.posts.clone(), ..bare } } else { bare }
    }

    /// The same update as each store gets it: SQLite with the place, now and then.
    async fn located(&mut self, update: &Update) -> Update {
        let found =
            if self.dice.one_in(2) { self.sqlite.get(update.run, Part::Row).await.unwrap() } else { None };
        let place = found.map_or(Locator(self.dice.roll(3)), |stored| stored.locator);
        Update { locator: place, ..update.clone() }
    }

    async fn save(&mut self) {
        let mut runs = Vec::new();
        for _ in 0..=self.dice.roll(4) {
            runs.push(self.new_run().await);
        }
        let (one, two) = (self.memory.save(runs.clone()).await, self.sqlite.save(runs).await);
        match (one, two) {
            (Ok(one), Ok(two)) => assert_eq!(one, two),
            (Err(one), Err(two)) => assert_eq!(one.kind(), two.kind()),
            (one, two) => panic!("{one:?} is not {two:?}"),
        }
    }

    async fn turn(&mut self) {
        let mut updates = Vec::new();
        let mut located = Vec::new();
        let mut guarded = BTreeSet::new();
        for _ in 0..self.dice.roll(6) {
            let update = self.update().await;
            // A caller has at most one guarded update of a run in a batch.
            if update.guard == Guard::Post || guarded.insert(update.run) {
                located.push(self.located(&update).await);
                updates.push(update);
            }
        }
        let request = self.dice.maybe(|_| ()).map(|()| self.request());
        let one = self.memory.turn(updates.clone().into(), request.clone()).await.unwrap();
        let two = self.sqlite.turn(located.into(), request.clone()).await.unwrap();
        assert_eq!(one.answers, two.answers, "{updates:#?}");
        self.compare_claims(one.claims.unwrap(), two.claims.unwrap(), request.as_ref());
        if let Some(request) = request {
            self.compare_outlook(&request).await;
        }
    }

    fn request(&mut self) -> ClaimRequest {
        let known: Vec<_> = ["backup", "email"].map(Text::from).into();
        let definitions: Vec<_> = known
            .into_iter()
            .flat_map(|pipeline| [u64::MAX, u64::MAX - 1].map(|fingerprint| (pipeline.clone(), fingerprint)))
            .map(|(pipeline, fingerprint)| Definition::new(pipeline, fingerprint))
            .filter(|_| !self.dice.one_in(4))
            .collect();
        let length = Duration::from_secs(10 + 20 * self.dice.roll(2));
        let earlier = if self.dice.one_in(4) { Duration::from_secs(1) } else { Duration::ZERO };
        ClaimRequest {
            definitions: definitions.into(),
            limit: self.dice.roll(40) as usize,
            by_age: self.dice.roll(9) as usize,
            suspect: self.dice.one_in(2),
            holder: worker(self.dice.roll(3)),
            leases: self.leases(),
            lease: length,
            now: self.now,
            due_by: self.now.saturating_sub(earlier),
            limits: Arc::new(self.limits_of_all()),
        }
    }

    /// No rates: SQLite asks again only those that a rate lets through, so the others are told another time.
    fn limits(&mut self) -> Limits {
        let cap = |dice: &mut Dice| Cap {
            most: 1 + dice.roll(6) as u32,
            per: dice.maybe(|dice| Text::from(format!("m{}", dice.roll(2)))),
        };
        Limits { running: self.dice.maybe(cap), calls: self.dice.maybe(cap), ..Limits::default() }
    }

    fn limits_of_all(&mut self) -> BTreeMap<Text, Limits> {
        let mut limits = BTreeMap::new();
        for pipeline in ["backup", "email"] {
            if self.dice.one_in(2) {
                limits.insert(Text::from(pipeline), self.limits());
            }
        }
        limits
    }

    fn leases(&mut self) -> Leases {
        if self.dice.one_in(2) {
            return Leases::ByTime;
        }
        let seen = (0..3).filter(|_| !self.dice.one_in(3)).map(worker).collect::<Vec<_>>();
        let times = seen.into_iter().map(|holder| HolderTime { holder, over: self.time() });
        Leases::ByHolder(times.collect())
    }

    fn compare_claims(&self, one: Vec<Claim>, two: Vec<Claim>, request: Option<&ClaimRequest>) {
        let plain = |claims: Vec<Claim>| {
            let mut stored: Vec<_> = claims.into_iter().map(|claim| bare(claim.stored)).collect();
            stored.sort_by_key(|stored| stored.run.id);
            stored
        };
        assert_eq!(plain(one), plain(two), "{request:?}");
    }

    async fn compare_outlook(&self, request: &ClaimRequest) {
        let (one, two) =
            (self.memory.outlook(request).await.unwrap(), self.sqlite.outlook(request).await.unwrap());
        assert_eq!(one.due, two.due, "{request:?}");
        assert_eq!(one.clocks.holders, two.clocks.holders, "{request:?}");
    }

    async fn get(&mut self) {
        let run = self.any_run();
        let from = self.dice.position();
        let limit = self.dice.roll(4) as usize;
        let history = Part::History { from: self.dice.roll(4) as u32, limit: 2 * limit };
        for part in [Part::Row, Part::Work, Part::Records { from, limit }, history] {
            let (one, two) =
                (self.memory.get(run, part).await.unwrap(), self.sqlite.get(run, part).await.unwrap());
            assert_eq!(one.map(bare), two.map(bare));
        }
    }

    async fn search(&mut self) {
        let filter = self.filter();
        let (one, two) =
            (self.memory.search(&filter).await.unwrap(), self.sqlite.search(&filter).await.unwrap());
        assert_eq!(one, two, "{filter:?}");
    }

    fn some_runs(&mut self) -> Vec<RunId> {
        let runs = if self.dice.one_in(9) { 1 + self.dice.roll(3) } else { 0 };
        (0..runs).map(|_| run_id(self.dice.roll(9))).collect()
    }

    fn filter(&mut self) -> Filter {
        let rarely = |dice: &mut Dice| dice.one_in(4);
        Filter {
            statuses: Status::ALL.into_iter().filter(|_| rarely(&mut self.dice)).collect(),
            pipeline: rarely(&mut self.dice).then(|| self.definition().pipeline),
            definitions: rarely(&mut self.dice).then(|| vec![self.definition(), self.definition()]),
            other_than: if rarely(&mut self.dice) { vec![self.definition()] } else { Vec::new() },
            key: self.dice.one_in(9).then(|| Text::from(format!("key{}", self.dice.roll(20)))),
            origins: self.some_runs(),
            parents: self.some_runs(),
            child: rarely(&mut self.dice).then(|| self.dice.one_in(2)),
            sealed: rarely(&mut self.dice).then(|| self.dice.one_in(2)),
            ended_from: rarely(&mut self.dice).then(|| self.time()),
            ended_before: rarely(&mut self.dice).then(|| self.time()),
            metadata: self.dice.metadata().into_iter().filter(|_| self.dice.one_in(4)).collect(),
            created_from: rarely(&mut self.dice).then(|| self.time()),
            created_before: rarely(&mut self.dice).then(|| self.time()),
            due: self.dice.maybe(|_| self.now),
            due_by: self
                .dice
                .maybe(|dice| Duration::from_micros(dice.roll(9_000_000)))
                .map(|d| self.now.saturating_sub(d)),
            suspect: rarely(&mut self.dice).then(|| self.dice.one_in(2)),
            stuck: rarely(&mut self.dice).then(|| self.dice.one_in(2)),
            order: [Order::Started, Order::Urgency, Order::Due, Order::Ended][self.dice.roll(4) as usize],
            after: rarely(&mut self.dice).then(|| Cursor(self.any_run())),
            limit: self.dice.roll(12) as usize,
            total: self.dice.one_in(2),
        }
    }

    async fn step(&mut self) {
        self.now = self.now + Duration::from_micros(self.dice.roll(2_000_000));
        match self.dice.roll(8) {
            0 => self.save().await,
            1 => self.get().await,
            2 => self.search().await,
            _ => self.turn().await,
        }
    }

    /// Everything that is stored, compared.
    async fn compare_all(&self) {
        for n in 0..=self.runs {
            for part in [Part::Work, Part::Records { from: Position::default(), limit: usize::MAX }] {
                let one = self.memory.get(run_id(n), part).await.unwrap();
                let two = self.sqlite.get(run_id(n), part).await.unwrap();
                assert_eq!(one.map(bare), two.map(bare));
            }
        }
    }
}

/// Without the place, which is each store's own.
fn bare(stored: StoredRun) -> StoredRun {
    StoredRun { locator: Locator::default(), ..stored }
}

async fn compare(make: impl Fn() -> SqliteRepository, seed: u64, steps: usize) {
    let mut pair = Pair::new(make(), seed);
    for step in 0..steps {
        pair.step().await;
        if step == steps / 2 {
            pair.compare_all().await;
        }
    }
    assert!(pair.runs > 100, "there was something to compare");
    pair.compare_all().await;
}

#[tokio::test]
async fn a_file_answers_as_memory_does() {
    let directory = tempfile::tempdir().unwrap();
    for seed in 0..3 {
        let path = directory.path().join(format!("{seed}.db"));
        compare(|| SqliteRepository::open(&path).unwrap(), seed, 800).await;
    }
}

#[tokio::test]
async fn a_database_in_memory_answers_as_memory_does() {
    for seed in 100..103 {
        compare(|| SqliteRepository::open_in_memory().unwrap(), seed, 800).await;
    }
}

/// Two runs at once are not lost on each other: what waits is one transaction, and each gets its own answers.
#[tokio::test]
async fn answers_of_one_transaction_are_not_mixed_up() {
    let repository = SqliteRepository::open_in_memory().unwrap();
    let now = Timestamp::from_micros(0);
    let definition = definition_key("p", ["s"]);
    let tasks: Vec<_> = (0..200_u64)
        .map(|n| {
            let (repository, definition) = (repository.clone(), definition.clone());
            tokio::spawn(async move {
                let new = NewRun::new(run_id(n / 2), definition, Text::from("1"), now);
                let saved = repository.save(vec![new]).await.unwrap();
                let posts: Arc<[Update]> = (0..n % 3)
                    .map(|k| {
                        let message = MessageId::from_bytes(id(n * 10 + k).to_be_bytes());
                        Update::post(run_id(n / 2), Message::new(message, Mail::Resume, now))
                    })
                    .collect();
                assert_eq!(repository.update(posts).await.unwrap().len() as u64, n % 3);
                saved[0]
            })
        })
        .collect();
    let mut new = 0;
    for task in tasks {
        new += usize::from(task.await.unwrap() == Saved::New);
    }
    assert_eq!(new, 100);
}

/// The guard of a removal of the run that another update has this guard for.
const fn idle(guard: Guard) -> Guard {
    match guard {
        Guard::Held(epoch, _) | Guard::Again(epoch, _) | Guard::Idle(epoch) => Guard::Idle(epoch),
        Guard::Post => Guard::Idle(Epoch(0)),
    }
}
