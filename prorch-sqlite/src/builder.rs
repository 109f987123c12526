use std::path::PathBuf;
use std::time::Duration;

use prorch_core::repository::StoreError;

use crate::repository::SqliteRepository;

/// What a write survives once it was answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// A crash of the process, of the system, and a power loss: every write waits until the disk has it.
    #[default]
    PowerLoss,
    /// A crash of the process. A crash of the system or a power loss may take the last writes with it, the newest
    /// first; what is there is whole and in order. Several times faster where a flush of the disk is slow.
    ///
    /// A step may then be called again although its end was answered: use it where that does no harm.
    ProcessCrash,
}

impl Durability {
    /// The value of the pragma `synchronous`: FULL or NORMAL.
    pub(crate) const fn synchronous(self) -> i64 {
        match self {
            Self::PowerLoss => 2,
            Self::ProcessCrash => 1,
        }
    }
}

/// Opens a [`SqliteRepository`] with other than the usual settings; made by [`SqliteRepository::builder`].
///
/// ```
/// # use prorch_sqlite::{Durability, SqliteRepository};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("jobs.db");
/// let repository = SqliteRepository::builder(path).durability(Durability::ProcessCrash).readers(2).open()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is opened before `open()`"]
pub struct SqliteBuilder {
    pub(crate) path: PathBuf,
    pub(crate) durability: Durability,
    pub(crate) readers: usize,
    pub(crate) lock_wait: Duration,
}

impl SqliteBuilder {
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self { path, durability: Durability::PowerLoss, readers: 2, lock_wait: Duration::from_secs(60) }
    }

    /// What a write survives once it was answered; [`Durability::PowerLoss`] unless told otherwise.
    pub fn durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// How many threads read, each on a connection of its own: 2 unless told otherwise, and at least 1.
    pub fn readers(self, readers: usize) -> Self {
        Self { readers, ..self }
    }

    /// How long a write waits while another process or program keeps a transaction open that writes, before it answers
    /// with an error that [passes](StoreError::is_transient) and names who it is: 60 seconds unless told otherwise. A
    /// worker then sends it again. Of processes that work and are not frozen none waits for another so long.
    pub fn lock_wait(self, longest: Duration) -> Self {
        Self { lock_wait: longest, ..self }
    }

    /// Opens the file; makes it when it is not there.
    ///
    /// # Errors
    ///
    /// As [`SqliteRepository::open`].
    pub fn open(self) -> Result<SqliteRepository, StoreError> {
        SqliteRepository::with(self)
    }
}
