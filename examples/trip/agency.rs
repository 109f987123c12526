//! The outside: a directory in which every booking is a file.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::options::Options;
use crate::say;

/// Where one books, and gives back.
#[derive(Debug)]
pub(crate) struct Agency {
    bookings: PathBuf,
    cars: u32,
    closed: Option<String>,
    pace: Duration,
}

impl Agency {
    pub(crate) fn new(options: &Options) -> Self {
        let Options { bookings, cars, closed, pace, .. } = options;
        let pace = Duration::from_millis(*pace);
        Self { bookings: bookings.clone(), cars: *cars, closed: closed.clone(), pace }
    }

    pub(crate) fn cars(&self) -> u32 {
        self.cars
    }

    /// Books, once under a key: who asks a second time gets the first booking.
    pub(crate) fn book(&self, what: &str, place: &str, key: &str) -> anyhow::Result<String> {
        let booking = format!("a {what} to {place}");
        fs::create_dir_all(&self.bookings)
            .with_context(|| format!("can't create `{}`", self.bookings.display()))?;
        let path = self.path(what, key);
        fs::write(&path, &booking).with_context(|| format!("can't write `{}`", path.display()))?;
        say(&format!("{what}: booked"));
        std::thread::sleep(self.pace);
        Ok(booking)
    }

    /// Gives back what was booked under this key, if anything was.
    pub(crate) fn give_back(&self, what: &str, key: &str) -> anyhow::Result<()> {
        if self.closed.as_deref() == Some(what) {
            bail!("the {what} takes nothing back today");
        }
        match fs::remove_file(self.path(what, key)) {
            Ok(()) => say(&format!("{what}: given back")),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                say(&format!("{what}: nothing to give back"))
            }
            Err(error) => return Err(failed(error, what)),
        }
        std::thread::sleep(self.pace);
        Ok(())
    }

    fn path(&self, what: &str, key: &str) -> PathBuf {
        self.bookings.join(format!("{what}-{}.txt", key.replace(':', "-")))
    }
}

fn failed(error: io::Error, what: &str) -> anyhow::Error {
    anyhow::Error::from(error).context(format!("the booking of the {what} can't be removed"))
}
