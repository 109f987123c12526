//! The command line.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use lexopt::{Arg, Parser, ValueExt};

use crate::archiver::Order;
use crate::pipeline::BackupRequest;
use crate::webhook::Webhook;

/// What `--help` says.
pub(crate) const HELP: &str = "\
Packs a directory, copies the archive into a vault, and writes a receipt. Killed at any moment, the same command goes
on where it was.

Usage: backup [create | execute] [options]

  create   starts a backup and returns: it is stored, and nothing is done yet
  execute  works until no backup in the database is left to be done
  (none)   both, for this one backup

  --source DIR        what to back up                      [this project's `prorch-core`]
  --vault DIR         where archives and receipts go       [target/backup-demo/vault]
  --database FILE     where the progress is kept           [target/backup-demo/backup.db]
  --webhook URL       where the receipt is posted to (http only)
  --chunk BYTES       how much is copied between two commits             [4194304]
  --crash-after STEP  abort right after this step was committed
  --journal FILE      append a line for every call of a step";

/// The hidden subcommand by which the program becomes an archiver.
pub(crate) const ARCHIVE: &str = "archive";

/// What the program is asked to do.
#[derive(Debug)]
pub(crate) enum Command {
    Help,
    Archive(Order),
    Create,
    Execute,
    CreateAndExecute,
}

/// The command line, read.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) command: Command,
    pub(crate) source: PathBuf,
    pub(crate) vault: PathBuf,
    pub(crate) database: PathBuf,
    pub(crate) webhook: Option<String>,
    pub(crate) chunk: u64,
    pub(crate) crash_after: Option<String>,
    pub(crate) journal: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        let demo = project.join("target/backup-demo");
        Self {
            command: Command::CreateAndExecute,
            source: project.join("prorch-core"),
            vault: demo.join("vault"),
            database: demo.join("backup.db"),
            webhook: None,
            chunk: 4 << 20,
            crash_after: None,
            journal: None,
        }
    }
}

impl Options {
    /// Reads a command line, the program's name first.
    pub(crate) fn read(mut line: Parser) -> anyhow::Result<Self> {
        let mut options = Self::default();
        while let Some(argument) = line.next()? {
            match argument {
                Arg::Long("source") => options.source = path(&mut line)?,
                Arg::Long("vault") => options.vault = path(&mut line)?,
                Arg::Long("database") => options.database = path(&mut line)?,
                Arg::Long("journal") => options.journal = Some(path(&mut line)?),
                Arg::Long("webhook") => options.webhook = Some(line.value()?.string()?),
                Arg::Long("chunk") => options.chunk = line.value()?.parse()?,
                Arg::Long("crash-after") => options.crash_after = Some(step(&line.value()?.string()?)?),
                Arg::Long("help") | Arg::Short('h') => options.command = Command::Help,
                Arg::Value(word) => options.command = command(&word.string()?, &mut line)?,
                other => return Err(other.unexpected().into()),
            }
        }
        ensure!(options.chunk > 0, "--chunk 0 would never copy anything: give at least 1");
        ensure!(options.source != options.vault, "the vault can't be the source itself");
        options.webhook.as_deref().map(Webhook::at).transpose()?;
        Ok(options)
    }

    /// The backup that is asked for.
    pub(crate) fn request(&self) -> BackupRequest {
        BackupRequest {
            source: self.source.clone(),
            vault: self.vault.clone(),
            webhook: self.webhook.clone(),
            chunk: self.chunk,
        }
    }
}

fn command(word: &str, line: &mut Parser) -> anyhow::Result<Command> {
    Ok(match word {
        "create" => Command::Create,
        "execute" => Command::Execute,
        ARCHIVE => Command::Archive(Order {
            source: path(line)?,
            vault: path(line)?,
            database: path(line)?,
            directory: path(line)?,
        }),
        other => bail!("`{other}` is no command: write `create`, `execute`, or none (see --help)"),
    })
}

/// A path that another process in another directory understands.
fn path(line: &mut Parser) -> anyhow::Result<PathBuf> {
    let given = line.value()?;
    std::path::absolute(&given).with_context(|| format!("`{}` is no path", given.display()))
}

/// The name of a step. All that are linked into a program can be listed.
fn step(name: &str) -> anyhow::Result<String> {
    let names: Vec<_> = prorch::steps().iter().map(|step| step.name).collect();
    ensure!(names.contains(&name), "`{name}` is no step: it is one of {}", names.join(", "));
    Ok(name.into())
}
