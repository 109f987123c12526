//! Schedules at run time: made, changed, listed, paused, resumed and deleted.

use std::future::IntoFuture;
use std::marker::PhantomData;
use std::sync::atomic::Ordering;

use super::start::{encode, save};
use super::{Orchestrator, Told};
use crate::error::Error;
use crate::model::{
    Filter, Mail, Metadata, Missed, NewRun, Overlap, Part, Run, RunId, ScheduleChange, ScheduleSpec,
    ScheduleState, StoredRun, Text, Timestamp,
};
use crate::payload::Payload;
use crate::pipeline::Pipeline;
use crate::repository::{BoxFuture, ask};
use crate::schedule::{Ticks, check};

/// So often a schedule that others change at the same time is tried to be changed.
const TRIES: u32 = 10;

/// A schedule as it stands.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Schedule {
    /// Its name.
    pub name: String,
    /// The run that it is.
    pub run: RunId,
    /// The pipeline that it starts runs of.
    pub pipeline: String,
    /// The cron expression.
    pub cron: String,
    /// The name of the time zone that it is read in.
    pub timezone: String,
    /// What becomes of missed ticks.
    pub missed: Missed,
    /// What becomes of ticks while a run goes on.
    pub overlap: Overlap,
    /// Whether it comes from `#[pipeline(schedule = "…")]`.
    pub is_declared: bool,
    /// Whether it is paused.
    pub is_paused: bool,
    /// The last tick that started a run; none when none did.
    pub last: Option<Timestamp>,
    /// The next tick; none when it is paused.
    pub next: Option<Timestamp>,
    /// Why a worker left it as it was: a time zone that is unknown there, say.
    pub stuck: Option<String>,
}

impl Schedule {
    fn new(run: &Run, state: ScheduleState, now: Timestamp) -> Self {
        let ScheduleState { spec, last, fired } = state;
        let ticks = Ticks::new(&spec.cron, &spec.timezone).ok().filter(|_| !run.state.paused);
        Self {
            name: spec.name.to_string(),
            run: run.id,
            pipeline: spec.pipeline.to_string(),
            cron: spec.cron.to_string(),
            timezone: spec.timezone.to_string(),
            missed: spec.missed,
            overlap: spec.overlap,
            is_declared: spec.declared.is_some(),
            is_paused: run.state.paused,
            last: fired,
            next: ticks.and_then(|ticks| ticks.after(last.max(now))),
            stuck: run.state.stuck.as_ref().map(ToString::to_string),
        }
    }
}

/// A schedule that is about to be made, or changed. It is when this is awaited.
#[must_use = "the schedule is made when this is awaited"]
pub struct NewSchedule<P: Pipeline> {
    orchestrator: Orchestrator,
    spec: ScheduleSpec,
    input: Result<Text, Error>,
    pipeline: PhantomData<fn() -> P>,
}

impl<P: Pipeline> NewSchedule<P> {
    /// The time zone that the expression is read in, by its name in the tz database (`"Europe/Madrid"`); `"UTC"` where
    /// nothing is said.
    pub fn timezone(mut self, name: impl Into<String>) -> Self {
        self.spec.timezone = Text::from(name.into());
        self
    }

    /// What becomes of ticks that no worker came to within a minute; [`Missed::Latest`] where nothing is said.
    pub fn missed(mut self, missed: Missed) -> Self {
        self.spec.missed = missed;
        self
    }

    /// A tick does not fire while the run of the one before it has not ended. A run that ended and is then
    /// [retried](Orchestrator::retry) goes on beside the next.
    pub fn no_overlap(mut self) -> Self {
        self.spec.overlap = Overlap::Skip;
        self
    }

    /// The priority of its runs, 0 (most urgent) to 9; the default is 5.
    pub fn priority(mut self, priority: u8) -> Self {
        self.spec.priority = priority;
        self
    }

    /// Pins a value to its runs under a name; they can be found by it.
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<serde_json::Value>) -> Self {
        self.spec.metadata.insert(name.into(), value.into());
        self
    }

    async fn put(self) -> Result<Schedule, Error> {
        self.orchestrator.shared.catalog.add(P::definition())?;
        let spec = ScheduleSpec { input: self.input?, ..self.spec };
        self.orchestrator.put_schedule(spec).await
    }
}

impl<P: Pipeline> IntoFuture for NewSchedule<P> {
    type Output = Result<Schedule, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.put())
    }
}

impl<P: Pipeline> std::fmt::Debug for NewSchedule<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewSchedule").field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl Orchestrator {
    /// Makes a schedule: from now on each tick of the cron expression starts a run of `P` with this input. Awaited, it gives
    /// the schedule, and that is durable. Where there is one of this name it is changed; where its ticks become other ones,
    /// those up to now don't fire.
    ///
    /// The expression has five fields: minute, hour, day of the month, month, day of the week; a sixth, the second, may
    /// stand before them. A field is `*`, or a list of numbers and ranges, each with or without a step (`*/5`, `9-17/2`);
    /// months and weekdays may be said by their first three letters, and `L` is the last day of the month. Where both days
    /// are named, either will do.
    ///
    /// A tick makes one run, whoever is up, and none is made for a tick that is past: the run has the key `name@tick`, and
    /// `schedule` and `tick` are pinned to it. At the change to and from daylight saving an expression that names hours goes
    /// by the clock on the wall: what it names fires once, at the moment of the change when the clock skips it, and the
    /// first time when the clock shows it twice. One whose hours begin with `*` goes by the time that passes: it does not
    /// fire in a skipped hour, and fires twice in a doubled one.
    ///
    /// Some worker that knows `P` has to be up. Time zones are those of the system's tz database, and where there is none,
    /// those that are built in.
    ///
    /// ```
    /// # use prorch_core::{error::Error, orchestrator::Orchestrator, pipeline::Pipeline, model::Missed};
    /// # async fn example<Backup: Pipeline<Input = String>>(orchestrator: &Orchestrator) -> Result<(), Error> {
    /// let nightly = orchestrator
    ///     .schedule::<Backup>("nightly", "0 3 * * *", "/home".to_owned())
    ///     .timezone("Europe/Madrid")
    ///     .missed(Missed::All(7))
    ///     .await?;
    /// println!("the first is at {:?}", nightly.next);
    /// orchestrator.pause_schedule("nightly").await?;
    /// orchestrator.resume_schedule("nightly").await?;
    /// orchestrator.delete_schedule("nightly").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Schedule`] when it makes no sense (no such expression, no such time zone, days that never come), or when
    /// a schedule of this name starts runs of another pipeline; [`Error::TooLarge`] and [`Error::Store`].
    pub fn schedule<P: Pipeline>(
        &self,
        name: impl Into<String>,
        cron: impl Into<String>,
        input: P::Input,
    ) -> NewSchedule<P> {
        let spec = ScheduleSpec {
            name: Text::from(name.into()),
            pipeline: P::NAME.into(),
            cron: Text::from(cron.into()),
            timezone: "UTC".into(),
            input: Text::default(),
            missed: Missed::default(),
            overlap: Overlap::default(),
            priority: NewRun::DEFAULT_PRIORITY,
            metadata: Metadata::new(),
            declared: None,
        };
        let input = encode(&input, "input", self.shared.config.max_payload);
        NewSchedule { orchestrator: self.clone(), spec, input, pipeline: PhantomData }
    }

    /// All schedules, in the order in which they were made.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] when the repository can't be read.
    pub async fn schedules(&self) -> Result<Vec<Schedule>, Error> {
        let mut schedules = Vec::new();
        let mut filter = Filter::active().pipeline(ScheduleState::PIPELINE);
        loop {
            let page = self.search(&filter).await?;
            for run in &page.runs {
                schedules.extend(self.read_schedule(run.id).await?.map(|(schedule, _)| schedule));
            }
            match page.next {
                Some(next) => filter = filter.after(Some(next)),
                None => return Ok(schedules),
            }
        }
    }

    /// Lets no tick of a schedule fire until it is resumed. Those that come meanwhile are missed ticks.
    ///
    /// # Errors
    ///
    /// [`Error::Schedule`] when there is none of this name; [`Error::Store`].
    pub async fn pause_schedule(&self, name: &str) -> Result<Told, Error> {
        self.pause(self.named_schedule(name).await?).await
    }

    /// Lets a paused schedule go on.
    ///
    /// # Errors
    ///
    /// As [`pause_schedule`](Self::pause_schedule).
    pub async fn resume_schedule(&self, name: &str) -> Result<Told, Error> {
        self.resume(self.named_schedule(name).await?).await
    }

    /// Deletes a schedule: its run is cancelled. The runs that it has started go on. One that is declared is made again by
    /// the next worker that starts with its declaration.
    ///
    /// # Errors
    ///
    /// As [`pause_schedule`](Self::pause_schedule).
    pub async fn delete_schedule(&self, name: &str) -> Result<Told, Error> {
        self.cancel(self.named_schedule(name).await?, "the schedule was deleted").await
    }

    async fn named_schedule(&self, name: &str) -> Result<RunId, Error> {
        let found = self.open_schedule(name).await?;
        found.ok_or_else(|| Error::Schedule {
            name: name.to_owned(),
            why: "there is none of this name".to_owned(),
        })
    }

    /// The run of the schedule with this name.
    pub(super) async fn open_schedule(&self, name: &str) -> Result<Option<RunId>, Error> {
        let filter = schedules_named(Filter::active(), name).limit(1);
        let found = ask(|| self.shared.repository.search(&filter)).await?.answer;
        Ok(found.runs.first().map(|run| run.id))
    }

    /// A schedule as it stands, with what it was told and no worker has read yet.
    pub(super) async fn read_schedule(&self, run: RunId) -> Result<Option<(Schedule, ScheduleState)>, Error> {
        let read = ask(|| self.shared.repository.get(run, Part::Work)).await?.answer;
        let Some(stored) = read.filter(|stored| !stored.run.status().is_terminal()) else { return Ok(None) };
        let state = state_of(&stored)?;
        Ok(Some((Schedule::new(&stored.run, state.clone(), self.shared.time.now()), state)))
    }

    /// Makes the schedule, or changes the one of this name.
    pub(super) async fn put_schedule(&self, mut spec: ScheduleSpec) -> Result<Schedule, Error> {
        let name = spec.name.to_string();
        let refused = |why: String| Error::Schedule { name: name.clone(), why };
        check(&spec).map_err(refused)?;
        let mut is_told = false;
        for _ in 0..TRIES {
            let run = match self.open_schedule(&spec.name).await? {
                Some(run) => run,
                None => match self.begin_schedule(&spec).await? {
                    Some(run) => run,
                    None => continue,
                },
            };
            let Some((schedule, state)) = self.read_schedule(run).await? else { continue };
            // What is changed at run time stays so as long as the declaration stays the same.
            spec.declared = spec.declared.or(state.spec.declared);
            if is_told || state.spec == spec {
                return Ok(schedule);
            }
            if state.spec.pipeline != spec.pipeline {
                let why = format!(
                    "it starts runs of the pipeline `{}`: give this one another name, or delete that one first",
                    state.spec.pipeline
                );
                return Err(refused(why));
            }
            let change = ScheduleChange { spec: spec.clone(), from: self.shared.time.now() };
            match self.signal(run, ScheduleState::CHANGE, change).await {
                Ok(()) => is_told = true,
                // It was deleted meanwhile.
                Err(Error::Refused { .. } | Error::NotFound(_)) => continue,
                Err(error) => return Err(error),
            }
        }
        Err(refused("others change it, and delete it, all the time".to_owned()))
    }

    /// Starts the run of a schedule; none when another one is there under its key.
    ///
    /// A schedule that was deleted has left its run, and that its key: the next one has the next number. It takes over which
    /// ticks are past.
    async fn begin_schedule(&self, spec: &ScheduleSpec) -> Result<Option<RunId>, Error> {
        let now = self.shared.time.now();
        let (mut number, mut from) = (1, now);
        if let Some((earlier, last)) = self.deleted_schedule(&spec.name).await? {
            (number, from) = (earlier + 1, last.map_or(now, |last| last.max(now)));
        }
        let begin = ScheduleChange { spec: spec.clone(), from };
        let Some(scheduler) = self.shared.catalog.scheduler(&spec.pipeline) else { return Ok(None) };
        let input = begin.encode()?;
        let id = RunId::from_uuid(self.shared.new_id(now));
        let mut new = NewRun::new(id, scheduler, input, now);
        new.key = Some(Text::from(format!("{}#{number}", spec.name)));
        new.metadata.insert(ScheduleState::METADATA.into(), spec.name.as_str().into());
        let (run, is_new) = save(&self.shared.repository, new).await?;
        Ok(Some(run).filter(|_| is_new))
    }

    /// The number of the last schedule with this name, and its last tick.
    async fn deleted_schedule(&self, name: &str) -> Result<Option<(u64, Option<Timestamp>)>, Error> {
        let mut filter = schedules_named(Filter::all(), name);
        let mut latest: Option<(u64, RunId)> = None;
        loop {
            let page = ask(|| self.shared.repository.search(&filter)).await?.answer;
            latest = page.runs.iter().filter_map(|run| Some((number(run)?, run.id))).chain(latest).max();
            match page.next {
                Some(next) => filter = filter.after(Some(next)),
                None => break,
            }
        }
        let Some((number, run)) = latest else { return Ok(None) };
        let part = Part::Records { from: Default::default(), limit: 1 };
        let read = ask(|| self.shared.repository.get(run, part)).await?.answer;
        let state = read.as_ref().and_then(|stored| state_of(stored).ok());
        Ok(Some((number, state.map(|state| state.last))))
    }

    /// How many pipelines there were when their schedules were looked after, and are now.
    pub(super) fn scheduled(&self) -> (usize, usize) {
        (self.shared.scheduled.load(Ordering::Relaxed), self.shared.catalog.pipelines())
    }
}

fn schedules_named(filter: Filter, name: &str) -> Filter {
    filter.pipeline(ScheduleState::PIPELINE).metadata(ScheduleState::METADATA, name)
}

/// Which one of its name it is.
fn number(run: &Run) -> Option<u64> {
    run.key.as_ref()?.rsplit_once('#')?.1.parse().ok()
}

/// How a schedule stands, with what waits in its inbox.
fn state_of(stored: &StoredRun) -> Result<ScheduleState, Error> {
    let written = stored.records.values().next().and_then(|record| record.state.as_ref());
    let mut state = match written {
        Some(state) => ScheduleState::decode(state)?,
        None => ScheduleState::new(ScheduleChange::decode(&stored.run.input)?),
    };
    for message in stored.untaken() {
        if let Mail::Signal { name, payload } = &message.mail
            && name == ScheduleState::CHANGE
            && let Ok(change) = ScheduleChange::decode(payload)
        {
            state.change(change);
        }
    }
    Ok(state)
}
