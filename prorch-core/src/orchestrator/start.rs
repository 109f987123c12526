use std::future::IntoFuture;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::RunHandle;
use super::wishes::Wishes;
use crate::engine::Shared;
use crate::error::Error;
use crate::model::{NewRun, RunId, Text};
use crate::payload::Payload;
use crate::pipeline::Pipeline;
use crate::repository::{AnyRepository, BoxFuture, Saved, ask};

/// A run that is about to be started. It is started when this is awaited.
#[must_use = "the run is started when this is awaited"]
pub struct Start<P: Pipeline> {
    shared: Arc<Shared>,
    input: Result<Text, Error>,
    wishes: Wishes,
    pipeline: PhantomData<fn() -> P>,
}

impl<P: Pipeline> Start<P> {
    pub(super) fn new(shared: Arc<Shared>, input: &P::Input) -> Self {
        let limit = shared.config.max_payload;
        Self {
            input: encode(input, "input", limit),
            shared,
            wishes: Wishes::default(),
            pipeline: PhantomData,
        }
    }

    /// At most one run of the pipeline has this key: where one is there already, no other is started, and the handle is
    /// that one's ([`RunHandle::is_new`] says so). At most 256 bytes.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.wishes.key = Some(Text::from(key.into()));
        self
    }

    /// Not before this time has passed.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.wishes.delay = delay;
        self
    }

    /// Pins a value to the run under a name; runs can be found by it.
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<serde_json::Value>) -> Self {
        self.wishes.metadata.insert(name.into(), value.into());
        self
    }

    /// 0 (most urgent) to 9; the default is 5.
    pub fn priority(mut self, priority: u8) -> Self {
        self.wishes.priority = Some(priority);
        self
    }

    async fn save(self) -> Result<RunHandle<P>, Error> {
        let shared = self.shared;
        shared.catalog.add(P::definition())?;
        let now = shared.time.now();
        let id = RunId::from_uuid(shared.new_id(now));
        let new = self.wishes.fill(NewRun::new(id, P::definition().key(), self.input?, now));
        let new = NewRun { starts: P::definition().begins().starts, ..new };
        let (id, is_new) = save(&shared.repository, new).await?;
        Ok(RunHandle::new(shared, id, is_new))
    }
}

impl<P: Pipeline> IntoFuture for Start<P> {
    type Output = Result<RunHandle<P>, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.save())
    }
}

impl<P: Pipeline> std::fmt::Debug for Start<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Start")
            .field("pipeline", &P::NAME)
            .field("wishes", &self.wishes)
            .finish_non_exhaustive()
    }
}

/// The JSON of a value that comes from outside.
pub(super) fn encode<T: Payload>(value: &T, what: &'static str, limit: usize) -> Result<Text, Error> {
    let json = value.encode()?;
    if json.len() > limit {
        return Err(Error::TooLarge { what, bytes: json.len(), limit });
    }
    Ok(json)
}

/// Inserts a run; its id makes it safe to ask again. Gives the run that is there now, and whether it is the one that was
/// to be inserted: after an answer that got lost, the run that is known under its own id is that.
pub(super) async fn save(repository: &AnyRepository, new: NewRun) -> Result<(RunId, bool), Error> {
    let id = new.id;
    let saved = ask(|| repository.save(vec![new.clone()])).await?.answer;
    match saved.first().ok_or_else(no_answer)? {
        Saved::New => Ok((id, true)),
        Saved::Known(known) => Ok((*known, *known == id)),
    }
}

fn no_answer() -> Error {
    Error::Engine("the repository answered a start with nothing; it does not keep its contract".into())
}
