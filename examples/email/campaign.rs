//! The pipeline: its three steps, and what they are started with.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use prorch::prelude::*;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use crate::audience::{self, Person};
use crate::files::write_whole;
use crate::letter::Letter;

/// Finds out who is written to, writes the letters, and sends them.
#[pipeline(input = Campaign, output = Sent, steps = [generate_audience, GenerateCache, SendLetters])]
pub(crate) struct EmailCampaign;

/// What a campaign is started with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Campaign {
    /// Its name. There is one campaign of a name.
    pub(crate) name: String,
    /// The list of people.
    pub(crate) recipients: PathBuf,
    /// The directory that letters are sent from.
    pub(crate) outbox: PathBuf,
    /// Where letters wait until then.
    pub(crate) cache: PathBuf,
    /// How many letters are written or sent between two commits.
    pub(crate) batch: usize,
    /// How many milliseconds to wait between two batches, as most mail services want it.
    pub(crate) pace: u64,
}

/// Who is written to. What is handed on from step to step is stored, and should be small: a long list would be kept in
/// a file or a table, and this would be where to find it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Audience {
    people: Vec<Person>,
}

/// The letters that were written.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cache {
    batches: usize,
    letters: usize,
}

/// What a campaign ends with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Sent {
    /// How many letters are in the outbox.
    pub(crate) letters: usize,
}

/// A step that needs no state is a function. This one is not `async`: it is called where it may block.
#[step(retry(max_attempts = 3, backoff = "200ms..1s"))]
fn generate_audience(campaign: &Campaign) -> StepResult<Audience> {
    let path = &campaign.recipients;
    let text = fs::read_to_string(path).with_context(|| format!("can't read `{}`", path.display()))?;
    match audience::read(&text) {
        Ok(people) => finish(Audience { people }),
        // Reading it again would change nothing: somebody has to mend the list first.
        Err(error) => fail(format!("`{}`: {error:#}", path.display())),
    }
}

/// Writes the letters, a batch per call.
#[step(retry(max_attempts = 3, backoff = "200ms..1s"))]
pub(crate) struct GenerateCache {
    written: usize,
}

impl Step for GenerateCache {
    type Input = Audience;
    type Output = Cache;

    async fn on_continue(&mut self, audience: &Audience, cx: &StepContext) -> StepResult<Cache> {
        let campaign: Campaign = cx.run_input()?;
        let mut batches = audience.people.chunks(campaign.batch).skip(self.written);
        let Some(people) = batches.next() else {
            return finish(Cache { batches: self.written, letters: audience.people.len() });
        };
        let letters: Vec<_> =
            people.iter().map(|person| Letter::new(&campaign.name, person.clone())).collect();
        let file = batch_file(&campaign, cx, self.written);
        spawn_blocking(move || write_batch(&file, &letters)).await??;
        self.written += 1;
        cx.progress(self.written as u64, (self.written + batches.len()) as u64);
        pending_for(Duration::ZERO)
    }
}

/// Sends the letters, a batch per call.
#[step(retry(max_attempts = 3, backoff = "200ms..1s"))]
pub(crate) struct SendLetters {
    sent: usize,
}

impl Step for SendLetters {
    type Input = Cache;
    type Output = Sent;

    async fn on_continue(&mut self, cache: &Cache, cx: &StepContext) -> StepResult<Sent> {
        let campaign: Campaign = cx.run_input()?;
        if self.sent == cache.batches {
            let cache_directory = cache_of(&campaign, cx);
            spawn_blocking(move || sweep(&cache_directory)).await??;
            return finish(Sent { letters: cache.letters });
        }
        let batch = batch_file(&campaign, cx, self.sent);
        let (outbox, key) = (campaign.outbox, cx.idempotency_key().to_string());
        spawn_blocking(move || send(&read_batch(&batch)?, &outbox, &key)).await??;
        self.sent += 1;
        cx.progress(self.sent as u64, cache.batches as u64);
        pending_for(Duration::from_millis(campaign.pace))
    }
}

/// A call that is cut off in here is made again, with the same key: it leaves alone what is in the outbox already.
fn send(letters: &[Letter], outbox: &Path, key: &str) -> anyhow::Result<()> {
    fs::create_dir_all(outbox).with_context(|| format!("can't create the outbox `{}`", outbox.display()))?;
    for letter in letters {
        letter.put_into(outbox, key)?;
    }
    Ok(())
}

/// Where a batch of letters waits. Named by the run, so that no two campaigns meet.
fn batch_file(campaign: &Campaign, cx: &StepContext, number: usize) -> PathBuf {
    cache_of(campaign, cx).join(format!("batch-{number}.json"))
}

fn cache_of(campaign: &Campaign, cx: &StepContext) -> PathBuf {
    campaign.cache.join(cx.run_id().to_string())
}

fn write_batch(path: &Path, letters: &[Letter]) -> anyhow::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).with_context(|| format!("can't create `{}`", directory.display()))?;
    }
    write_whole(path, &serde_json::to_vec(letters)?)
}

fn read_batch(path: &Path) -> anyhow::Result<Vec<Letter>> {
    let json = fs::read(path).with_context(|| format!("can't read `{}`", path.display()))?;
    serde_json::from_slice(&json).with_context(|| format!("can't read `{}`", path.display()))
}

/// Removes the cache of a campaign that is sent; also when an earlier call has.
fn sweep(cache: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(cache) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("can't remove `{}`", cache.display()))
        }
        _ => Ok(()),
    }
}
