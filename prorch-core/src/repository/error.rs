use std::error::Error as StdError;
use std::fmt;

/// Why a repository could not do what it was asked.
///
/// It says what the caller can do about it, and nothing of a driver's types.
pub struct StoreError {
    kind: StoreErrorKind,
    what: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What a [`StoreError`] means to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// It will pass (a lost connection, a locked file): asking again is right. Nothing was written.
    Transient,
    /// It is not known whether what was to be written is there (an error at COMMIT, a lost answer). Asking again is
    /// safe and gives the answer.
    Ambiguous,
    /// The store refuses what it was given; asking again won't help.
    Refused,
    /// A row holds what can't be read.
    Corrupt,
    /// The store can't be used any more (a disk that fails, a schema that is too new): stop, and tell somebody.
    Broken,
}

impl StoreError {
    /// An error of this kind; `what` says in words what could not be done and what to do about it.
    pub fn new(kind: StoreErrorKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), source: None }
    }

    /// The same error with what caused it.
    #[must_use]
    pub fn with_source(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// What it means to the caller.
    #[must_use]
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// Whether it will pass by itself, and nothing was written.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self.kind, StoreErrorKind::Transient)
    }

    /// Whether it is unknown if something was written.
    #[must_use]
    pub const fn is_ambiguous(&self) -> bool {
        matches!(self.kind, StoreErrorKind::Ambiguous)
    }

    /// Whether the store can't be used any more.
    #[must_use]
    pub const fn is_broken(&self) -> bool {
        matches!(self.kind, StoreErrorKind::Broken)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreError")
            .field("kind", &self.kind)
            .field("what", &self.what)
            .field("source", &self.source)
            .finish()
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
