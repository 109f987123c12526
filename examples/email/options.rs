//! The command line.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use lexopt::{Arg, Parser, ValueExt};

use crate::campaign::Campaign;

/// What `--help` says.
pub(crate) const HELP: &str = "\
Sends a newsletter to everybody on a list, once, into a local outbox of .eml files.

Usage: email [create | execute] [options]

  create   stores a campaign and returns
  execute  works until no campaign in the database is left to be done
  (none)   both

  --name NAME         the campaign; there is one of each name     [demo]
  --recipients FILE   one `Name <address>` a line                 [examples/email/recipients.txt]
  --outbox DIR        where the letters are put                   [target/email-demo/outbox]
  --database FILE     where the progress is kept                  [target/email-demo/email.db]
  --batch NUMBER      letters between two commits                 [5]
  --pace MS           milliseconds between two batches            [200]";

/// What the program is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Help,
    Create,
    Execute,
    CreateAndExecute,
}

/// The command line, read.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) command: Command,
    pub(crate) database: PathBuf,
    name: String,
    recipients: PathBuf,
    outbox: PathBuf,
    batch: usize,
    pace: u64,
}

impl Default for Options {
    fn default() -> Self {
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        let demo = project.join("target/email-demo");
        Self {
            command: Command::CreateAndExecute,
            database: demo.join("email.db"),
            name: "demo".into(),
            recipients: project.join("examples/email/recipients.txt"),
            outbox: demo.join("outbox"),
            batch: 5,
            pace: 200,
        }
    }
}

impl Options {
    /// Reads a command line, the program's name first.
    pub(crate) fn read(mut line: Parser) -> anyhow::Result<Self> {
        let mut options = Self::default();
        while let Some(argument) = line.next()? {
            match argument {
                Arg::Long("name") => options.name = line.value()?.string()?,
                Arg::Long("recipients") => options.recipients = path(&mut line)?,
                Arg::Long("outbox") => options.outbox = path(&mut line)?,
                Arg::Long("database") => options.database = path(&mut line)?,
                Arg::Long("batch") => options.batch = line.value()?.parse()?,
                Arg::Long("pace") => options.pace = line.value()?.parse()?,
                Arg::Long("help") | Arg::Short('h') => options.command = Command::Help,
                Arg::Value(word) => options.command = command(&word.string()?)?,
                other => return Err(other.unexpected().into()),
            }
        }
        ensure!(options.batch > 0, "--batch 0 would never send anything: give at least 1");
        Ok(options)
    }

    /// The campaign that is asked for.
    pub(crate) fn campaign(&self) -> Campaign {
        let cache = self.database.with_added_extension("cache");
        Campaign {
            name: self.name.clone(),
            recipients: self.recipients.clone(),
            outbox: self.outbox.clone(),
            cache,
            batch: self.batch,
            pace: self.pace,
        }
    }
}

fn command(word: &str) -> anyhow::Result<Command> {
    Ok(match word {
        "create" => Command::Create,
        "execute" => Command::Execute,
        other => bail!("`{other}` is no command: write `create`, `execute`, or none (see --help)"),
    })
}

/// A path that another process in another directory understands.
fn path(line: &mut Parser) -> anyhow::Result<PathBuf> {
    let given = line.value()?;
    std::path::absolute(&given).with_context(|| format!("`{}` is no path", given.display()))
}
