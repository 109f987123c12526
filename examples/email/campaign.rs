//! The pipeline: its three steps, and what they are started with.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use prorch::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::audience::{self, Person};
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
        write_json(&batch_file(&campaign, self.written), &letters)?;
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
            return finish(Sent { letters: cache.letters });
        }
        let letters: Vec<Letter> = read_json(&batch_file(&campaign, self.sent))?;
        let (outbox, key) = (campaign.outbox, cx.idempotency_key().to_string());
        tokio::task::spawn_blocking(move || send(&letters, &outbox, &key)).await??;
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

fn batch_file(campaign: &Campaign, number: usize) -> PathBuf {
    campaign.cache.join(format!("batch-{number}.json"))
}

fn write_json(path: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    let cannot_write = || format!("can't write `{}`", path.display());
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).with_context(cannot_write)?;
    }
    fs::write(path, serde_json::to_vec(value)?).with_context(cannot_write)
}

fn read_json<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let json = fs::read(path).with_context(|| format!("can't read `{}`", path.display()))?;
    serde_json::from_slice(&json).with_context(|| format!("can't read `{}`", path.display()))
}
