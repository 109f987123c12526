//! The command line.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use lexopt::{Arg, Parser, ValueExt};
use prorch::RunId;

/// What `--help` says.
pub(crate) const HELP: &str = "\
Books a flight, a hotel and a car, or nothing: what was booked is given back when there is no car.

Usage: trip [retry ID] [options]

  (none)    books a trip, or goes on with one that was not ended
  retry ID  tries again to give back what could not be given back

  --database FILE   where the progress is kept            [target/trip-demo/trip.db]
  --bookings DIR    where the bookings are, one a file    [target/trip-demo/bookings]

  --to PLACE        where the trip goes                   [Lisbon]
  --cars NUMBER     how many cars there are               [0]
  --closed NAME     who takes nothing back: flight, hotel or car
  --pace MS         how long a booking takes              [0]";

/// What the program is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Help,
    Book,
    Retry(RunId),
}

/// The command line, read.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) command: Command,
    pub(crate) database: PathBuf,
    pub(crate) bookings: PathBuf,
    pub(crate) to: String,
    pub(crate) cars: u32,
    pub(crate) closed: Option<String>,
    pub(crate) pace: u64,
}

impl Default for Options {
    fn default() -> Self {
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/trip-demo");
        Self {
            command: Command::Book,
            database: demo.join("trip.db"),
            bookings: demo.join("bookings"),
            to: "Lisbon".into(),
            cars: 0,
            closed: None,
            pace: 0,
        }
    }
}

impl Options {
    /// Reads a command line, the program's name first.
    pub(crate) fn read(mut line: Parser) -> anyhow::Result<Self> {
        let mut options = Self::default();
        while let Some(argument) = line.next()? {
            match argument {
                Arg::Long("database") => options.database = line.value()?.into(),
                Arg::Long("bookings") => options.bookings = line.value()?.into(),
                Arg::Long("to") => options.to = line.value()?.string()?,
                Arg::Long("cars") => options.cars = line.value()?.parse()?,
                Arg::Long("closed") => options.closed = Some(line.value()?.string()?),
                Arg::Long("pace") => options.pace = line.value()?.parse()?,
                Arg::Long("help") | Arg::Short('h') => options.command = Command::Help,
                Arg::Value(word) if word == "retry" => {
                    let given = line.value().context("`retry` needs the id of a trip")?.string()?;
                    let id = given.parse().with_context(|| format!("`{given}` is no id of a trip"))?;
                    options.command = Command::Retry(id);
                }
                Arg::Value(other) => {
                    bail!("`{}` is no command: write `retry ID`, or none (see --help)", other.display())
                }
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(options)
    }
}
