use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::gates::Gates;
use super::{
    Answer, Compensation, Definition, Filter, Guard, Kin, LimitKind, MAX_NAME_BYTES, Mail, NewRun, Page,
    Part, Permits, RecordWrite, Run, RunId, Saved, Status, StepRecord, StoreError, StoreErrorKind, StoredRun,
    Text, Update, Wants,
};

/// A map of runs that does what a [`Repository`](super::Repository) must, as a value: what the in-memory store is made
/// of, and a store on one file can be.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Runs {
    by_id: BTreeMap<RunId, StoredRun>,
    /// Those that have not ended: what is searched most is not to slow down with what has been done.
    active: BTreeSet<RunId>,
    by_key: HashMap<(Text, Text), RunId>,
    kin: Kin,
    /// What is taken of the limits.
    gates: Gates,
    /// How often a run was handed what another one gave back.
    handed_over: u64,
}

/// What of [`Runs`] is kept.
#[derive(Serialize, Deserialize)]
struct Stored {
    runs: Vec<StoredRun>,
    #[serde(default)]
    limits: Gates,
}

impl Runs {
    /// See [`Repository::get`](super::Repository::get).
    #[must_use]
    pub fn get(&self, id: RunId, part: Part) -> Option<StoredRun> {
        self.by_id.get(&id).map(|stored| stored.part(part))
    }

    /// See [`Repository::save`](super::Repository::save).
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Refused`] when one of them is not to be stored; then none is inserted.
    pub fn save(&mut self, runs: Vec<NewRun>) -> Result<Vec<Saved>, StoreError> {
        for new in &runs {
            check_new(new).map_err(|why| StoreError::new(StoreErrorKind::Refused, why.as_str()))?;
        }
        Ok(runs.into_iter().map(|new| self.insert(new)).collect())
    }

    /// See [`Repository::update`](super::Repository::update).
    pub fn update(&mut self, updates: &[Update]) -> Vec<Answer> {
        updates.iter().map(|update| self.apply(update)).collect()
    }

    /// See [`Repository::search`](super::Repository::search).
    #[must_use]
    pub fn search(&self, filter: &Filter) -> Page {
        let is_active = |status: &Status| !status.is_terminal();
        let named = !filter.statuses.is_empty() && filter.statuses.iter().all(is_active);
        if named || filter.due.is_some() {
            let active = self.active.iter().filter_map(|id| self.by_id.get(id));
            return filter.page(active.map(|stored| &stored.run));
        }
        if let Some((found, in_order)) = self.kin.candidates(filter) {
            let found = found.filter_map(|id| self.by_id.get(&id)).map(|stored| &stored.run);
            if !in_order || filter.total {
                return filter.page(found);
            }
            let found = found.filter(|run| filter.matches(run) && filter.is_after(run));
            return filter.page(found.take(filter.limit + 1));
        }
        filter.page(self.by_id.values().map(|stored| &stored.run))
    }

    fn insert(&mut self, new: NewRun) -> Saved {
        if self.by_id.contains_key(&new.id) {
            return Saved::Known(new.id);
        }
        if let Some(id) = new.key.as_ref().and_then(|key| self.with_key(&new.definition.pipeline, key)) {
            return Saved::Known(id);
        }
        self.put(StoredRun::new(new));
        Saved::New
    }

    fn with_key(&self, pipeline: &Text, key: &Text) -> Option<RunId> {
        self.by_key.get(&(pipeline.clone(), key.clone())).copied()
    }

    fn put(&mut self, stored: StoredRun) {
        let Run { id, ref definition, ref key, .. } = stored.run;
        if let Some(key) = key {
            self.by_key.insert((definition.pipeline.clone(), key.clone()), id);
        }
        if !stored.run.status().is_terminal() {
            self.active.insert(id);
        }
        self.kin.put(&stored.run);
        self.by_id.insert(id, stored);
    }

    fn remove(&mut self, id: RunId) {
        let Some(StoredRun { run, .. }) = self.by_id.remove(&id) else { return };
        self.active.remove(&id);
        self.kin.remove(&run);
        if let Some(key) = run.key {
            self.by_key.remove(&(run.definition.pipeline, key));
        }
    }

    fn apply(&mut self, update: &Update) -> Answer {
        if let Err(why) = check_update(update) {
            return Answer::Rejected(why);
        }
        let Some(stored) = self.by_id.get_mut(&update.run) else { return Answer::Closed };
        let (ended_at, mut before) = (stored.run.state.ended_at, stored.run.permits.clone());
        let (answer, wants) = if update.is_claim() {
            claim(&mut self.gates, stored, &mut before, update)
        } else {
            (update.apply(stored), Wants::default())
        };
        if answer == Answer::Removed {
            self.remove(update.run);
            return answer;
        }
        self.kin.ended(&stored.run, ended_at);
        let after = stored.run.permits.clone();
        if stored.run.status().is_terminal() {
            self.active.remove(&update.run);
        } else {
            self.active.insert(update.run);
        }
        for key in before.held().filter(|key| !after.held().any(|kept| kept == *key)) {
            self.gates.free(key);
            self.hand_over(key);
        }
        // A claim may have said that there is more room than there was.
        wants.caps.iter().for_each(|want| self.hand_over(&want.key));
        if matches!(answer, Answer::Applied { .. }) {
            self.start(update);
            self.send(update);
        }
        answer
    }

    /// Gives what is free of a limit to the runs that wait for it, the most urgent first, and the longest due among those.
    /// They have it from now on, whoever claims them.
    fn hand_over(&mut self, key: &Text) {
        if LimitKind::of(key) == LimitKind::Rate {
            return;
        }
        while self.gates.has_room(key) {
            let waiting = self.active.iter().filter_map(|id| self.by_id.get(id)).map(|stored| &stored.run);
            let waiting = waiting.filter(|run| {
                !run.state.paused && run.permits.blocked.as_ref().is_some_and(|blocked| blocked.by == *key)
            });
            let Some(first) = waiting.min_by_key(|run| (run.priority, run.due_at, run.id)) else { return };
            let id = first.id;
            let Some(stored) = self.by_id.get_mut(&id).filter(|_| self.gates.hand_over(key)) else { return };
            stored.run.permits.blocked = None;
            stored.run.permits.take(key.clone());
            self.handed_over += 1;
        }
    }

    /// How often a run was handed what another one gave back of a limit: each time it became due.
    pub(super) const fn handed_over(&self) -> u64 {
        self.handed_over
    }

    /// Starts what the update starts; one that has no fence starts nothing.
    fn start(&mut self, update: &Update) {
        for new in update.starts.iter().filter(|_| update.guard != Guard::Post) {
            self.insert(new.clone());
        }
    }

    /// Delivers what the update posts to other runs.
    fn send(&mut self, update: &Update) {
        for post in update.posts.iter().filter(|post| post.to != update.run) {
            if let Some(stored) = self.by_id.get_mut(&post.to) {
                stored.receive(&post.message);
            }
        }
    }
}

impl From<Stored> for Runs {
    fn from(stored: Stored) -> Self {
        let mut map = Self { gates: stored.limits, ..Self::default() };
        stored.runs.into_iter().for_each(|stored| map.put(stored));
        map
    }
}

/// Runs as they stand. What they hold of limits is counted; of rates it is not known when the last start was.
impl From<Vec<StoredRun>> for Runs {
    fn from(runs: Vec<StoredRun>) -> Self {
        let mut map = Self::default();
        for stored in runs {
            stored.run.permits.held().for_each(|key| map.gates.hold(key));
            map.put(stored);
        }
        map
    }
}

impl From<Runs> for Vec<StoredRun> {
    fn from(runs: Runs) -> Self {
        runs.by_id.into_values().collect()
    }
}

impl From<Runs> for Stored {
    fn from(runs: Runs) -> Self {
        Self { limits: runs.gates, runs: runs.by_id.into_values().collect() }
    }
}

/// A claim, if the limits let it; else the run waits. What it counts under is noted. Also says what it wanted.
fn claim(
    gates: &mut Gates,
    stored: &mut StoredRun,
    counted: &mut Permits,
    update: &Update,
) -> (Answer, Wants) {
    if let Some(refusal) = update.refusal(stored) {
        return (refusal, Wants::default());
    }
    let wants = update.limits.as_deref().cloned().unwrap_or_default().wants(stored);
    let answer = match gates.admit(&wants, update.at) {
        Ok(taken) => {
            taken.into_iter().for_each(|key| counted.take(key));
            stored.run.permits = counted.clone();
            update.apply(stored)
        }
        Err(blocked) => {
            stored.run.park(blocked);
            Answer::Full
        }
    };
    (answer, wants)
}

/// Whether every store can take what `update` wants to write, or why not.
///
/// # Errors
///
/// The reason, for [`Answer::Rejected`].
pub fn check_update(update: &Update) -> Result<(), Text> {
    update.check_removal()?;
    update.records.iter().map(RecordWrite::record).try_for_each(check_record)?;
    if let Some(state) = &update.state {
        text(state.cause.as_ref().map(|cause| &cause.text), "the reason of the end")?;
        text(state.output.as_ref(), "the run's output")?;
        text(state.stuck.as_ref(), "the reason why it is left")?;
    }
    let entries = update.history.iter().flat_map(|append| &append.entries);
    let mut texts = entries.flat_map(|entry| [&entry.step, &entry.text, &entry.sender]);
    texts.try_for_each(|part| text(part.as_ref(), "an entry of the history"))?;
    update.definition.as_ref().map_or(Ok(()), check_definition)?;
    if update.limits.is_some() && update.definition.is_some() {
        return Err(Text::from("a claim within limits stores its run under no other definition"));
    }
    update.posts.iter().try_for_each(|post| check_mail(&post.message.mail))?;
    update.starts.iter().try_for_each(check_new)
}

fn check_record(record: &StepRecord) -> Result<(), Text> {
    name(&record.name, "the step's name")?;
    text(record.error.as_ref(), "the step's error")?;
    text(record.state.as_ref(), "the step's state")?;
    text(record.output.as_ref(), "the step's output")?;
    record.awaits.as_ref().map_or(Ok(()), |awaits| name(awaits, "the signal's name"))?;
    record.undo.as_ref().map_or(Ok(()), |undo| check_compensation(undo))
}

fn check_compensation(undo: &Compensation) -> Result<(), Text> {
    text(undo.error.as_ref(), "the error of the step's undoing")?;
    text(undo.state.as_ref(), "the state of the step's undoing")?;
    undo.awaits.as_ref().map_or(Ok(()), |awaits| name(awaits, "the signal's name"))
}

fn check_definition(definition: &Definition) -> Result<(), Text> {
    name(&definition.pipeline, "the pipeline's name")?;
    text(Some(&definition.list), "the list of steps")
}

fn check_mail(mail: &Mail) -> Result<(), Text> {
    match mail {
        Mail::Signal { name: signal, payload } => {
            name(signal, "the signal's name")?;
            text(Some(payload), "the signal's payload")
        }
        Mail::Cancel { reason } => text(Some(reason), "the reason of the cancel"),
        Mail::Ended { reason, .. } => text(reason.as_ref(), "the reason of the end"),
        Mail::Pause | Mail::Resume => Ok(()),
    }
}

/// Whether every store can take this run, or why not.
///
/// # Errors
///
/// The reason, in words.
pub fn check_new(new: &NewRun) -> Result<(), Text> {
    check_definition(&new.definition)?;
    if let Some(key) = &new.key {
        name(key, "the key")?;
    }
    text(Some(&new.input), "the input")?;
    if let Some(origin) = &new.origin {
        name(&origin.step, "the name of the step that it is restarted from")?;
    }
    new.records.iter().try_for_each(check_record)?;
    if new.priority > NewRun::LEAST_URGENT {
        return Err(Text::from(format!("the priority is {}, but the least urgent is 9", new.priority)));
    }
    Ok(())
}

fn name(name: &Text, what: &str) -> Result<(), Text> {
    if name.is_empty() {
        return Err(Text::from(format!("{what} is empty")));
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(Text::from(format!(
            "{what} has {} bytes; at most {MAX_NAME_BYTES} are stored",
            name.len()
        )));
    }
    text(Some(name), what)
}

fn text(value: Option<&Text>, what: &str) -> Result<(), Text> {
    match value {
        Some(value) if value.contains('\0') => {
            Err(Text::from(format!("{what} contains a NUL character, which no store can keep")))
        }
        _ => Ok(()),
    }
}
