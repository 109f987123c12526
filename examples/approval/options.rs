//! The command line.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use lexopt::{Arg, Parser, ValueExt};
use prorch::RunId;

use crate::expense::{Decision, Expense, signal_of};

/// What `--help` says.
pub(crate) const HELP: &str = "\
Has expenses decided: by one person after the other, each within a time limit.

Usage: approval [submit | work | list | approve ID | reject ID] [options]

  submit      hands in an expense, says its id, and returns
  work        asks people until no expense in the database is left to be decided
  list        says which expenses wait for whom
  approve ID  decides one, from wherever
  reject ID   the same, and says no
  (none)      submit and work

  --database FILE   where the progress is kept                          [target/approval-demo/approval.db]

  --what TEXT       what the expense was for                            [a book]
  --cents NUMBER    how much it was                                     [4200]
  --ask NAME        who may decide; give it again for who comes next    [Ada, then Grace]
  --limit MS        how long each of them has                           [3000]

  --by NAME         whose decision it is                                [whoever is asked]
  --reason TEXT     why it is rejected                                  [no reason was given]";

/// What the program is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Help,
    Submit,
    Work,
    SubmitAndWork,
    List,
    Decide(Sent),
}

/// A decision that somebody sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) id: RunId,
    pub(crate) by: Option<String>,
    pub(crate) decision: Decision,
}

/// The command line, read.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) command: Command,
    pub(crate) database: PathBuf,
    what: String,
    cents: u64,
    deciders: Vec<String>,
    limit: u64,
}

/// The options that belong to a decision.
#[derive(Default)]
struct Said {
    by: Option<String>,
    reason: Option<String>,
}

/// The longest name of a signal.
const LONGEST_SIGNAL: usize = 256;

impl Default for Options {
    fn default() -> Self {
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/approval-demo");
        Self {
            command: Command::SubmitAndWork,
            database: demo.join("approval.db"),
            what: "a book".into(),
            cents: 4_200,
            deciders: Vec::new(),
            limit: 3_000,
        }
    }
}

impl Options {
    /// Reads a command line, the program's name first.
    pub(crate) fn read(mut line: Parser) -> anyhow::Result<Self> {
        let (mut options, mut said) = (Self::default(), Said::default());
        while let Some(argument) = line.next()? {
            match argument {
                Arg::Long("database") => options.database = path(&mut line)?,
                Arg::Long("what") => options.what = line.value()?.string()?,
                Arg::Long("cents") => options.cents = line.value()?.parse()?,
                Arg::Long("ask") => options.deciders.push(line.value()?.string()?),
                Arg::Long("limit") => options.limit = line.value()?.parse()?,
                Arg::Long("by") => said.by = Some(line.value()?.string()?),
                Arg::Long("reason") => said.reason = Some(line.value()?.string()?),
                Arg::Long("help") | Arg::Short('h') => options.command = Command::Help,
                Arg::Value(word) => options.command = command(&word.string()?, &mut line)?,
                other => return Err(other.unexpected().into()),
            }
        }
        if options.deciders.is_empty() {
            options.deciders = vec!["Ada".into(), "Grace".into()];
        }
        options.check_deciders()?;
        options.command = with(options.command, said)?;
        Ok(options)
    }

    fn check_deciders(&self) -> anyhow::Result<()> {
        for (number, name) in self.deciders.iter().enumerate() {
            ensure!(!name.is_empty(), "--ask needs a name");
            ensure!(!self.deciders[..number].contains(name), "--ask `{name}` is there twice: ask each once");
            ensure!(signal_of(name).len() <= LONGEST_SIGNAL, "--ask `{name}` is too long for a name");
        }
        Ok(())
    }

    /// The expense that is handed in.
    pub(crate) fn expense(&self) -> Expense {
        Expense {
            what: self.what.clone(),
            cents: self.cents,
            deciders: self.deciders.clone(),
            limit: self.limit,
            verdicts: self.database.with_added_extension("verdicts"),
        }
    }
}

fn command(word: &str, line: &mut Parser) -> anyhow::Result<Command> {
    let mut decide = |decision| Ok(Command::Decide(Sent { id: id(word, line)?, by: None, decision }));
    match word {
        "submit" => Ok(Command::Submit),
        "work" => Ok(Command::Work),
        "list" => Ok(Command::List),
        "approve" => decide(Decision::Approve),
        "reject" => decide(Decision::Reject { reason: "no reason was given".into() }),
        other => {
            bail!(
                "`{other}` is no command: write `submit`, `work`, `list`, `approve`, `reject`, or none (see --help)"
            )
        }
    }
}

/// The id of an expense, which stands after the command.
fn id(word: &str, line: &mut Parser) -> anyhow::Result<RunId> {
    let given =
        line.value().map_err(|_| anyhow::anyhow!("`{word}` needs the id of an expense (see `list`)"))?;
    let given = given.string()?;
    given.parse().with_context(|| format!("`{given}` is no id of an expense"))
}

/// The command with what else was said about the decision.
fn with(command: Command, said: Said) -> anyhow::Result<Command> {
    match (command, said.reason) {
        (Command::Decide(sent), reason) => {
            let decision = match (sent.decision, reason) {
                (Decision::Reject { .. }, Some(reason)) => Decision::Reject { reason },
                (Decision::Approve, Some(_)) => bail!("--reason goes with `reject`"),
                (decision, None) => decision,
            };
            Ok(Command::Decide(Sent { by: said.by, decision, ..sent }))
        }
        (other, None) if said.by.is_none() => Ok(other),
        _ => bail!("--by and --reason go with a decision"),
    }
}

/// A path that another process in another directory understands.
fn path(line: &mut Parser) -> anyhow::Result<PathBuf> {
    let given = line.value()?;
    std::path::absolute(&given).with_context(|| format!("`{}` is no path", given.display()))
}
