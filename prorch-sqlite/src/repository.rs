use std::path::PathBuf;
use std::sync::Arc;

use prorch_core::repository::{
    Answer, ClaimRequest, Filter, Health, NewRun, Outlook, Page, Part, Repository, RunId, Saved, StepRecord,
    StoreError, StoreErrorKind, StoredRun, Text, Turn, Update, check_new, check_update,
};

use crate::batch::{Done, Request, Weight};
use crate::builder::SqliteBuilder;
use crate::handle::Handle;
use crate::reader::Read;

/// Runs in a SQLite file. Cheap to clone: clones share the file's threads.
///
/// What was written when a call returned survives a crash and a power loss (see [`Durability`](crate::Durability) for
/// less). Any runtime may call it: the work is done on threads of its own.
///
/// Several repositories, also of several processes, may have one file open, as long as it is on a local disk. They write
/// in the order in which they came, so that none starves, and hear of what the others make due. For that there are three
/// more files beside it, whose names end in `-next`, `-turn` and `-told`. They hold nothing that can be lost and stay when
/// the last one closes the database; what is left of them is harmless. A process that is frozen while it writes keeps the
/// others waiting until it goes on or ends (see [`SqliteBuilder::lock_wait`]); they log which one it is.
///
/// [`health`](Repository::health) tells of a full disk, of a log that can't be emptied because somebody reads an old
/// snapshot, of a program that keeps the file from being written to, and of a file that was given up.
///
/// When the last clone is dropped, that waits until what was asked for is written and the file is closed.
#[derive(Clone, Debug)]
pub struct SqliteRepository {
    handle: Arc<Handle>,
}

impl SqliteRepository {
    /// Opens the file at `path`; makes it when it is not there. [`builder`](Self::builder) has more to set.
    ///
    /// ```
    /// # use prorch_sqlite::SqliteRepository;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("jobs.db");
    /// let repository = SqliteRepository::open(path)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError`] when its directory is not there or not writable, when it is a directory, no SQLite database, one of
    /// another program or one of a newer version of prorch; each says what to do about it.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        Self::builder(path).open()
    }

    /// What [`open`](Self::open) does, with other settings.
    pub fn builder(path: impl Into<PathBuf>) -> SqliteBuilder {
        SqliteBuilder::new(path.into())
    }

    /// A database in memory, for tests. It ends with the last clone.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the SQLite library is too old or there is no memory.
    pub fn open_in_memory() -> Result<Self, StoreError> {
        Handle::open_in_memory().map(Self::of)
    }

    pub(crate) fn with(builder: SqliteBuilder) -> Result<Self, StoreError> {
        Handle::open(builder).map(Self::of)
    }

    fn of(handle: Handle) -> Self {
        Self { handle: Arc::new(handle) }
    }

    async fn write(
        &self,
        runs: Vec<NewRun>,
        updates: Arc<[Update]>,
        claim: Option<ClaimRequest>,
    ) -> Result<Done, StoreError> {
        // What can be checked and counted before the thread that writes is not done there.
        let refused = refused(&updates);
        let weight = weight(&runs, &updates, claim.as_ref());
        self.handle.write(|reply| Request { runs, updates, refused, claim, weight, reply }).await
    }
}

impl Repository for SqliteRepository {
    async fn get(&self, id: RunId, part: Part) -> Result<Option<StoredRun>, StoreError> {
        self.handle.read(|reply| Read::Get(id, part, reply)).await
    }

    async fn save(&self, runs: Vec<NewRun>) -> Result<Vec<Saved>, StoreError> {
        for new in &runs {
            check_new(new).map_err(|why| StoreError::new(StoreErrorKind::Refused, why.as_str()))?;
        }
        Ok(self.write(runs, Arc::from([]), None).await?.saved)
    }

    async fn update(&self, updates: Arc<[Update]>) -> Result<Vec<Answer>, StoreError> {
        Ok(self.write(Vec::new(), updates, None).await?.answers)
    }

    async fn search(&self, filter: &Filter) -> Result<Page, StoreError> {
        let filter = Box::new(filter.clone());
        self.handle.read(|reply| Read::Search(filter, reply)).await
    }

    async fn turn(&self, updates: Arc<[Update]>, claim: Option<ClaimRequest>) -> Result<Turn, StoreError> {
        let Done { answers, claims, .. } = self.write(Vec::new(), updates, claim).await?;
        Ok(Turn { answers, claims })
    }

    async fn outlook(&self, request: &ClaimRequest) -> Result<Outlook, StoreError> {
        let request = request.clone();
        self.handle.read(|reply| Read::Outlook(request, reply)).await
    }

    async fn changed(&self) {
        self.handle.changes.next().await;
    }

    async fn health(&self) -> Health {
        self.handle.condition.health()
    }
}

/// The updates that no store can take, and why.
fn refused(updates: &[Update]) -> Vec<(usize, Text)> {
    let checked = updates.iter().enumerate();
    checked.filter_map(|(place, update)| check_update(update).err().map(|why| (place, why))).collect()
}

/// An update with no more records than these counts as one row: a step that ends, and the next one.
const FEW_RECORDS: usize = 2;

/// As how many rows a run that is removed counts beside its own.
const REMOVED_ROWS: usize = 1;

/// About how much a request adds to a transaction.
fn weight(runs: &[NewRun], updates: &[Update], claim: Option<&ClaimRequest>) -> Weight {
    let claimed = claim.map_or(0, |request| request.limit);
    let started: usize = updates.iter().map(|update| update.starts.len()).sum();
    let members: usize = updates.iter().map(|update| update.records.len().saturating_sub(FEW_RECORDS)).sum();
    let taken: usize = runs.iter().map(|new| new.records.len()).sum();
    let removed = updates.iter().filter(|update| update.removal.is_some()).count() * REMOVED_ROWS;
    let inserted = runs.iter().chain(updates.iter().flat_map(|update| &update.starts));
    Weight {
        rows: runs.len() + taken + removed + updates.len() + members + started + claimed,
        bytes: inserted.map(inserted_bytes).sum::<usize>() + updates.iter().map(payload).sum::<usize>(),
    }
}

fn inserted_bytes(new: &NewRun) -> usize {
    new.input.len() + new.records.iter().map(StepRecord::payload_bytes).sum::<usize>()
}

fn payload(update: &Update) -> usize {
    let records = update.records.iter().map(|write| write.record().payload_bytes());
    let output = update.state.as_ref().and_then(|state| state.output.as_ref());
    records.sum::<usize>() + output.map_or(0, |output| output.len())
}
