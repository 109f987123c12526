use std::path::PathBuf;

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// The engine on the in-memory repository.
    Memory,
    /// The engine on SQLite.
    Sqlite,
    /// The bare loop that commits every transition by itself.
    RawSqlite,
    /// The last two in turn, and their ratio.
    Compare,
    /// Many runs through a worker that removes what has ended.
    LongLife,
    /// Several processes on one file.
    Share,
    /// One of those processes.
    Saturate,
}

/// What was said on the command line.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) command: Command,
    pub(crate) runs: usize,
    pub(crate) in_flight: usize,
    pub(crate) rounds: usize,
    pub(crate) seconds: usize,
    /// Where a chart is drawn.
    pub(crate) chart: Option<PathBuf>,
}

const USAGE: &str = "usage: prorch-bench memory|sqlite|raw-sqlite|compare|share|long-life [--runs N] [--in-flight N] [--rounds N] [--seconds N] [--chart FILE]";

impl Options {
    /// Reads the command line, without the program's name.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let command = match words.next().as_deref() {
            Some("memory") => Command::Memory,
            Some("sqlite") => Command::Sqlite,
            Some("raw-sqlite") => Command::RawSqlite,
            Some("compare") => Command::Compare,
            Some("long-life") => Command::LongLife,
            Some("share") => Command::Share,
            Some("saturate") => Command::Saturate,
            _ => return Err(USAGE.into()),
        };
        let mut options =
            Self { command, runs: 20_000, in_flight: 2_048, rounds: 3, seconds: 10, chart: None };
        while let Some(name) = words.next() {
            if name == "--chart" {
                options.chart = Some(words.next().ok_or(USAGE)?.into());
                continue;
            }
            let number = words.next().and_then(|word| word.parse().ok()).filter(|number| *number > 0);
            let number = number.ok_or_else(|| format!("{name} takes a number from 1 on; {USAGE}"))?;
            match name.as_str() {
                "--runs" => options.runs = number,
                "--in-flight" => options.in_flight = number,
                "--rounds" => options.rounds = number,
                "--seconds" => options.seconds = number,
                _ => return Err(format!("{name} is unknown; {USAGE}")),
            }
        }
        Ok(options)
    }

    /// How many runs the single baseline makes: its rate doesn't depend on how many, and it is slow.
    pub(crate) fn single_runs(&self) -> usize {
        self.runs.min(2_000)
    }
}
